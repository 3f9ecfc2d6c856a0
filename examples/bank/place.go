package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/nats"
	"github.com/troupe-go/troupe/eventstore/postgres"
)

// place is where the events are: a folder, or a schema of a database.
type place struct{ folder, url, schema string }

// open opens the store there: with a server in this process, or with PostgreSQL. To the
// bank it is all the same.
func (p place) open(ctx context.Context) (eventstore.Store, error) {
	if p.url != "" {
		return postgres.Open(ctx, postgres.Config{URL: p.url, Schema: p.schema})
	}
	return nats.Open(ctx, nats.Config{Folder: p.folder})
}

// make finds a new place where none is named, which remove then removes.
func (p *place) make(ctx context.Context) (remove func() error, err error) {
	switch {
	case p.url != "" && p.schema == "":
		p.schema = fmt.Sprintf("bank_%x", time.Now().UnixNano())
		return p.drop, nil
	case p.url == "" && p.folder == "":
		p.folder, err = os.MkdirTemp("", "bank")
		return func() error { return os.RemoveAll(p.folder) }, err
	}
	return func() error { return nil }, nil
}

func (p *place) drop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{p.schema}.Sanitize()+" CASCADE")
	return err
}

// arguments are those that lead another process of this program there.
func (p place) arguments() []string {
	if p.url != "" {
		return []string{"-postgres", p.url, "-schema", p.schema}
	}
	return []string{"-data", p.folder}
}
