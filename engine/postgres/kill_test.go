package postgres_test

func child(string) {}
