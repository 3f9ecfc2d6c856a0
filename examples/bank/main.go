// Command bank keeps accounts by what has happened to them, in an event store: JetStream
// with a server in this process, or PostgreSQL.
//
//	go run .                           each thing once, in a new folder
//	go run . -data ./data              in that folder
//	go run . -postgres postgres://…    in a new schema of that database
//	go run . -crash                    kills itself while it works, and looks what is left
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bank", flag.ContinueOnError)
	data := flags.String("data", "", "the folder of the events; empty is a new one, which is removed")
	url := flags.String("postgres", "", "the URL of a database, for the events to be there")
	schema := flags.String("schema", "", "of the database; empty is a new one, which is removed")
	crashes := flags.Bool("crash", false, "run as another process that is killed while it works")
	kills := flags.Int("kills", 3, "how often, with -crash")
	works := flags.Bool("work", false, "be that other process")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	at := place{folder: *data, url: *url, schema: *schema}
	if at.url != "" && at.folder != "" {
		return errors.New("-data and -postgres: the events are in one place")
	}
	remove, err := at.make(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	switch {
	case *works:
		return work(ctx, at, out)
	case *crashes:
		return crash(ctx, at, *kills, out)
	}
	return demo(ctx, at, out)
}
