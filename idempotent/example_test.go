package idempotent_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/troupe-go/troupe/idempotent"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

func ExampleHandler() {
	dir, err := os.MkdirTemp("", "idempotent")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "db")+"?_txlock=immediate")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	ctx, done := context.Background(), idempotent.SQL{}
	if err := done.Create(ctx, db); err != nil {
		panic(err)
	}
	if _, err := db.Exec(`CREATE TABLE stock AS SELECT 10 AS n`); err != nil {
		panic(err)
	}
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	defer rt.Shutdown(ctx)
	sold, err := topics.Open[int](rt, "sold")
	if err != nil {
		panic(err)
	}
	_, err = sold.Subscribe("stock", idempotent.Handler(idempotent.SQLTx(db, nil), done, func(ctx context.Context, tx *sql.Tx, n int) error {
		_, err := tx.ExecContext(ctx, `UPDATE stock SET n = n - $1`, n)
		return err
	}))
	if err != nil {
		panic(err)
	}

	// The publisher is not sure, and publishes again.
	for range 3 {
		if _, err := sold.PublishWait(ctx, 4, topics.Meta{ID: "sale-1"}); err != nil {
			panic(err)
		}
	}
	var n int
	fmt.Println(db.QueryRow(`SELECT n FROM stock`).Scan(&n), n)
	// Output: <nil> 6
}
