package postgres

import (
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres/internal/text"
)

// row is what fetch returns.
type row struct {
	n, pos, at int64
	attempt    int32
	record     engine.Record
}

func scan(rows pgx.Rows) (x row, err error) {
	var (
		at                            *time.Time
		nanos                         int16
		id, key, source, kind, typeOf string
		headers                       []byte
	)
	r := &x.record
	if err := rows.Scan(&x.n, &x.pos, &x.at, &x.attempt, &id, &key, &source, &kind, &at, &nanos, &typeOf, &r.SchemaVersion, &headers, &r.Data); err != nil {
		return x, err
	}
	r.ID, r.Key, r.Source, r.Type, r.ContentType = text.From(id), text.From(key), text.From(source), text.From(kind), text.From(typeOf)
	if at != nil {
		r.Time = at.Add(time.Duration(nanos))
	}
	r.Headers = text.HeadersFromJSON(headers)
	return x, nil
}

func (x *row) delivery() *engine.Delivery {
	return &engine.Delivery{
		Record: x.record, Attempt: int(x.attempt), Message: handle{x.n, x.attempt},
		Position: fmt.Sprintf("transaction %d, record %d", x.at, x.pos), Place: strconv.FormatInt(x.pos, 10),
	}
}
