module github.com/troupe-go/troupe/eventstore/postgres

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.12.0
	github.com/troupe-go/troupe v0.0.0
	github.com/troupe-go/troupe/engine/postgres v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/text v0.42.0 // indirect
)

replace (
	github.com/troupe-go/troupe => ../..
	github.com/troupe-go/troupe/engine/postgres => ../../engine/postgres
)
