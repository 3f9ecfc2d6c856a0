package nats_test

// childEnv says what a child process is to do until it is killed.
const childEnv = "TROUPE_NATS_CHILD"

func child(string) {}
