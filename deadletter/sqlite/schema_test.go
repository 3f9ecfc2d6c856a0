package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// recipes returns the statements in the documentation of the package.
func recipes(t *testing.T) (all []string) {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var one []string
	for line := range strings.Lines(string(doc)) {
		code, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "//\t")
		if !ok || len(one) == 0 && !strings.HasPrefix(code, "SELECT") {
			continue
		}
		one = append(one, code)
		if strings.HasSuffix(code, ";") {
			all = append(all, strings.Join(one, "\n"))
			one = nil
		}
	}
	return all
}

// What the documentation says of the file holds for any SQLite: the statements
// run, while the server has the file open, and find what is there.
func TestDocumentedRecipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	batch := letters(0, 40)
	for i := range batch {
		batch[i].Topic, batch[i].Subscriber, batch[i].Reason = "orders.placed", "billing", "rejected"
		batch[i].Payload = fmt.Appendf(nil, `{"order":{"id":%d,"customer":{"id":%d}}}`, i, 4710+i%2)
	}
	batch[3].ID = "01JD3X..."
	mustAdd(t, s, batch)
	if n, err := s.Delete(t.Context(), batch[0].ID); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := []func(rows [][]any) bool{
		func(rows [][]any) bool {
			return len(rows) == 1 && rows[0][0] == "billing" && rows[0][1] == "rejected" && rows[0][2].(int64) == 39
		},
		func(rows [][]any) bool {
			return len(rows) == 20 && rows[0][1].(int64)%2 == 1 && strings.HasPrefix(rows[0][2].(string), "2026-03-14")
		},
		func(rows [][]any) bool {
			return len(rows) == 3 && rows[0][0].(int64) == 1 && rows[0][1].(int64) == 50 && rows[0][2] == batch[3].Error
		},
		func(rows [][]any) bool { return len(rows) == 1 && rows[0][0].(int64) == 0 },
	}
	all := recipes(t)
	if len(all) != len(want) {
		t.Fatalf("%d statements in the documentation, want %d", len(all), len(want))
	}
	for i, statement := range all {
		if got := query(t, db, statement); !want[i](got) {
			t.Errorf("%s\ngives %v", statement, got)
		}
	}
}

// The columns that the documentation names are those of the file.
func TestDocumentedColumns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	open(t, sqlite.Config{Path: path})
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(string(doc), "//", "")), " ")
	for _, table := range []string{"letters", "attempts", "redrives", "groups", "operations", "items", "audit", "classes", "tallies"} {
		at := strings.Index(text, " "+table+" ")
		for _, row := range query(t, db, "SELECT name FROM pragma_table_info('"+table+"')") {
			if at < 0 || !strings.Contains(text[at:], row[0].(string)) {
				t.Errorf("column %s of %s is not in the documentation", row[0], table)
			}
		}
	}
	if got := query(t, db, "PRAGMA user_version"); got[0][0] != int64(sqlite.SchemaVersion) {
		t.Errorf("user_version = %v, want %d", got[0][0], sqlite.SchemaVersion)
	}
}

func query(t *testing.T, db *sql.DB, statement string) (all [][]any) {
	t.Helper()
	rows, err := db.Query(statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// No query that an index can serve looks at every letter: the plan of the engine
// names what it uses.
func TestPlans(t *testing.T) {
	s := open(t, sqlite.Config{})
	batch := letters(0, 3000)
	for i := range batch { // little to index
		batch[i].Payload = fmt.Appendf(nil, `{"order":{"id":%d},"sku":"SKU-%05d","city":"Springfield"}`, i, i)
		batch[i].Headers, batch[i].Attempts = nil, nil
	}
	mustAdd(t, s, batch)
	if err := s.Indexed(t.Context()); err != nil {
		t.Fatal(err)
	}
	of := numbered(7)
	for _, tc := range []struct {
		query deadletter.Query
		uses  string
	}{
		{deadletter.Query{}, "SEARCH l USING INTEGER PRIMARY KEY"}, // the last letters, by number
		{deadletter.Query{State: deadletter.StateOpen}, "SEARCH l USING INTEGER PRIMARY KEY"},
		{deadletter.Query{Topic: of.Topic}, "INDEX letter_rows_class"},
		{deadletter.Query{Subscriber: of.Subscriber}, "INDEX letter_rows_class"},
		{deadletter.Query{Fingerprint: of.Fingerprint, State: deadletter.StateOpen}, "INDEX letter_rows_class"},
		{deadletter.Query{Where: parse(t, "age:>1h")}, "COVERING INDEX letter_rows_first"},
		{deadletter.Query{Where: parse(t, "failed:<now-1h state:open")}, "COVERING INDEX letter_rows_failed"},
		{deadletter.Query{Where: parse(t, "err:timeout")}, "SCAN texts VIRTUAL TABLE INDEX"},
		{deadletter.Query{Where: parse(t, `payload:"sku-0471"`)}, "SCAN texts VIRTUAL TABLE INDEX"},
		{deadletter.Query{Where: parse(t, "springfield")}, "SCAN texts VIRTUAL TABLE INDEX"},
		{deadletter.Query{Where: parse(t, "payload.order.id:2345")}, "SCAN texts VIRTUAL TABLE INDEX"},
		{deadletter.Query{Where: parse(t, "event:event-000000017")}, "SCAN texts VIRTUAL TABLE INDEX"},
		{deadletter.Query{Where: parse(t, "corr:flow-000000017 state:open")}, "SCAN texts VIRTUAL TABLE INDEX"},
		{deadletter.Query{Where: parse(t, "snoozed:no state:open")}, "INDEX letter_rows_snoozed"},
		{deadletter.Query{Where: parse(t, "payload.order.id:7 group:"+of.Fingerprint)}, "INDEX letter_rows_class"},
		{deadletter.Query{Where: parse(t, "id:"+of.ID)}, "letter_rows_id"},
		{deadletter.Query{Where: parse(t, "id:00000000001*")}, "letter_rows_id"},
	} {
		var all []string
		for _, after := range []string{"", numbered(1500).ID} { // what was counted is counted once
			q := tc.query
			q.After = after
			plans, err := s.Plans(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, plans...)
		}
		if !strings.Contains(strings.Join(all, "\n"), tc.uses) {
			t.Errorf("List(%v) does not use %s:\n%s", tc.query, tc.uses, strings.Join(all, "\n"))
		}
		for _, p := range all {
			if strings.HasPrefix(p, "SCAN l") && !strings.Contains(p, "letter_rows_snoozed") { // which has no others
				t.Errorf("List(%v) looks at every letter: %s", tc.query, p)
			}
		}
	}
}

// A file of the schema before is brought up to date: what was in it is found as before.
func TestAnOldSchemaIsBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	const many = 700 // in three blocks
	mustAdd(t, s, letters(0, many))
	if err := s.Indexed(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"DROP VIEW letters", "CREATE VIEW letters AS SELECT seq FROM letter_rows", "ALTER TABLE letter_rows DROP COLUMN build",
		"ALTER TABLE redrives DROP COLUMN member", "ALTER TABLE redrives DROP COLUMN errand", "ALTER TABLE operations DROP COLUMN member",
		"DROP TABLE superblocks", "ALTER TABLE blocks DROP COLUMN summary", "DELETE FROM counters WHERE name = 'rewritten'", "INSERT INTO counters VALUES ('generation', 7)", "PRAGMA user_version = 1",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	if _, err := sqlite.OpenReadOnly(path); err == nil || !strings.Contains(err.Error(), "open it for writing once") {
		t.Errorf("OpenReadOnly of the schema before = %v", err)
	}
	s = open(t, sqlite.Config{Path: path})
	for range 2 { // before the index knows them again, and after
		for text, want := range map[string]int{"": many, "reason:rejected": 175, "age:>1h": many, "springfield": many, "payload.order.id:321": 1, "event:event-000000017": 1, "snoozed:no": many} {
			n := 0
			for l, err := range deadletter.All(t.Context(), s, deadletter.Query{Where: parse(t, text)}) {
				if err != nil || l.ID == "" {
					t.Fatalf("%q: %v", text, err)
				}
				n++
			}
			if n != want {
				t.Errorf("%q gives %d letters on its pages, want %d", text, n, want)
			}
		}
		if err := s.Indexed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
	if db, err = sql.Open("sqlite", path); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var blocks, bare int
	if err := db.QueryRow("SELECT count(*), count(*) - count(summary) FROM (SELECT summary FROM blocks UNION ALL SELECT summary FROM superblocks)").Scan(&blocks, &bare); err != nil || blocks != 4 || bare > 0 {
		t.Errorf("%d of %d blocks have no summary, %v", bare, blocks, err)
	}
}
