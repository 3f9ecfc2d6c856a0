package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/postgres"
)

var day = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func letter(i int, node string) deadletter.Letter {
	return deadletter.Letter{
		ID: fmt.Sprintf("%s-%05d", node, i), Node: node, Topic: "orders", Subscriber: "mail", Sequence: uint64(i),
		Payload: fmt.Appendf(nil, `{"order":%d}`, i), ContentType: "application/json",
		Reason: "attempts_exhausted", Error: "connection refused", FirstFailedAt: day, LastFailedAt: day.Add(time.Duration(i) * time.Second),
	}
}

func letters(from, to int, node string) []deadletter.Letter {
	var all []deadletter.Letter
	for i := from; i < to; i++ {
		all = append(all, letter(i, node))
	}
	return all
}

func add(t testing.TB, s *postgres.Store, ls ...deadletter.Letter) {
	t.Helper()
	if err := s.Add(within(t), ls); err != nil {
		t.Fatal(err)
	}
}

// adds checks that the account adds up, with that many letters added.
func adds(t testing.TB, s *postgres.Store, added int64) deadletter.Account {
	t.Helper()
	a, err := s.Account(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
	if a.Added != added {
		t.Errorf("Added = %d, want %d", a.Added, added)
	}
	return a
}

func TestOpenErrors(t *testing.T) {
	url := server(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	newer := schema(t)
	open(t, postgres.Config{Schema: newer}).Close()
	exec(t, url, "UPDATE "+newer+".troupe_deadletter SET version = 1000")
	for _, c := range []struct {
		name string
		cfg  postgres.Config
		want error
	}{
		{"nobody there", postgres.Config{URL: "postgres://u:sesame@" + free.Addr().String() + "/db"}, postgres.ErrUnavailable},
		{"wrong password", postgres.Config{URL: strings.Replace(url, ":troupe@", ":sesame@", 1)}, postgres.ErrUnauthorized},
		{"no database", postgres.Config{URL: strings.Replace(url, "/postgres?", "/nowhere?", 1)}, postgres.ErrUnavailable},
		{"a replica", postgres.Config{URL: readOnly(url), Schema: schema(t)}, postgres.ErrReadOnly},
		{"not made", postgres.Config{URL: url, Schema: schema(t), ReadOnly: true}, postgres.ErrNotMade},
		{"newer", postgres.Config{URL: url, Schema: newer}, postgres.ErrNewer},
		{"no URL", postgres.Config{}, nil},
		{"no URL either", postgres.Config{URL: "postgres://u:sesame@host:port/db"}, nil},
		{"many faults", postgres.Config{URL: url, Conns: -1, MaxLetterBytes: 1, Sweep: -1, Schema: strings.Repeat("x", 64),
			Retention: postgres.Retention{MaxAge: -1, MaxCount: -1, MaxBytes: -1}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := postgres.Open(within(t), c.cfg)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("Open = %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("Open = %v: tells the password", err)
			}
			t.Log(err)
		})
	}
}

// readOnly is the URL of a session that takes no changes, as on a replica.
func readOnly(url string) string { return url + "&default_transaction_read_only=on" }

func TestReadOnly(t *testing.T) {
	name := schema(t)
	s := open(t, postgres.Config{Schema: name})
	add(t, s, letters(0, 3, "a")...)
	r := open(t, postgres.Config{URL: readOnly(server(t)), Schema: name, ReadOnly: true})
	page, err := r.List(within(t), deadletter.Query{})
	if err != nil || page.Total != 3 {
		t.Errorf("List = %d, %v, want 3", page.Total, err)
	}
	if err := r.Add(within(t), letters(3, 4, "a")); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("Add = %v, want ErrReadOnly", err)
	}
	// A node that finds the schema opens it also where it may change nothing, and is
	// told when it does.
	replica := open(t, postgres.Config{URL: readOnly(server(t)), Schema: name})
	if err := replica.Add(within(t), letters(3, 4, "a")); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("Add on a replica = %v, want ErrReadOnly", err)
	}
	adds(t, r, 3)
}

func TestNodesStartAtOnce(t *testing.T) {
	url, name := server(t), schema(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s, err := postgres.Open(within(t), postgres.Config{URL: url, Schema: name, Conns: 2})
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			defer s.Close()
			if err := s.Add(within(t), letters(0, 10, fmt.Sprint("n", i))); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	adds(t, open(t, postgres.Config{Schema: name}), 60)
}

// TestNodesWriteAtOnce has nodes add the same and other letters, change the same ones
// and delete, in batches of any order: nothing is lost, nothing waits for ever, and the
// account adds up.
func TestNodesWriteAtOnce(t *testing.T) {
	name := schema(t)
	const nodes, each = 4, 60
	shared := letters(0, each, "shared")
	var wg sync.WaitGroup
	for n := range nodes {
		s := open(t, postgres.Config{Schema: name, Conns: 4})
		for w := range 2 {
			wg.Go(func() {
				ctx := within(t)
				for i := 0; i < each; i += 10 {
					batch := letters(i, i+10, fmt.Sprintf("n%d.%d", n, w))
					for j := range 10 { // the shared ones, some forward and some backward
						k := (i + j) % each
						if n%2 == 0 {
							k = each - 1 - k
						}
						batch = append(batch, shared[k])
					}
					if err := s.Add(ctx, batch); err != nil {
						t.Errorf("Add: %v", err)
					}
					ids := []string{shared[(i+n)%each].ID, batch[3].ID, shared[i].ID, "not there"}
					errs, err := s.Change(ctx, ids, func(l *deadletter.Letter) error {
						l.AttemptCount++
						return nil
					})
					if err != nil || errs[1] != nil || !errors.Is(errs[3], deadletter.ErrNotFound) {
						t.Errorf("Change = %v, %v", errs, err)
					}
					if n, err := s.Delete(ctx, batch[5].ID, "not there"); n != 1 || err != nil {
						t.Errorf("Delete = %d, %v", n, err)
					}
				}
			})
		}
	}
	wg.Wait()
	s := open(t, postgres.Config{Schema: name})
	const own = nodes * 2 * each
	a := adds(t, s, own+each)
	if a.Deleted != own/10 || a.Open != own*9/10+each {
		t.Errorf("account %+v, want %d deleted and %d open", a, own/10, own*9/10+each)
	}
	page, err := s.List(within(t), deadletter.Query{Limit: 1})
	if err != nil || int64(page.Total) != a.Open {
		t.Errorf("List = %d, %v, want %d", page.Total, err, a.Open)
	}
	groups, err := s.Groups(within(t), deadletter.GroupQuery{})
	if err != nil || groups.Total != 1 || groups.Groups[0].Counts[deadletter.StateOpen] != page.Total {
		t.Errorf("Groups = %+v, %v, want one of %d", groups, err, page.Total)
	}
}

// TestNobodyRedrivesTwice: of those who begin a redrive of one letter at once, on any
// node, one does.
func TestNobodyRedrivesTwice(t *testing.T) {
	name := schema(t)
	a, b := open(t, postgres.Config{Schema: name}), open(t, postgres.Config{Schema: name})
	add(t, a, letters(0, 20, "a")...)
	var mu sync.Mutex
	began := map[string]int{}
	var wg sync.WaitGroup
	for i, s := range []*postgres.Store{a, b, a, b} {
		wg.Go(func() {
			for k := range 20 {
				id := letter(k, "a").ID
				err := s.Update(within(t), id, func(l *deadletter.Letter) error {
					_, err := l.BeginRedrive(fmt.Sprint("operator ", i), deadletter.FreshBudget, day)
					return err
				})
				mu.Lock()
				if err == nil {
					began[id]++
				} else if !errors.Is(err, deadletter.ErrNotOpen) {
					t.Errorf("Update = %v, want ErrNotOpen", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for k := range 20 {
		if id := letter(k, "a").ID; began[id] != 1 {
			t.Errorf("%s was redriven %d times", id, began[id])
		}
	}
}

// TestConnectionLostInAdd loses the connection before and behind the commit. Who adds
// again has each letter once.
func TestConnectionLostInAdd(t *testing.T) {
	for _, c := range []struct {
		at     string
		behind bool
		stored int
	}{{"INSERT INTO groups", false, 0}, {"commit", false, 0}, {"commit", true, 5}} {
		t.Run(fmt.Sprint(c.at, " behind=", c.behind), func(t *testing.T) {
			p := newProxy(t, server(t))
			name := schema(t)
			near := open(t, postgres.Config{Schema: name})
			far := open(t, postgres.Config{URL: p.url, Schema: name})
			p.behind.Store(c.behind)
			p.cutAt.Store(&c.at)
			err := far.Add(within(t), letters(0, 5, "a"))
			if !errors.Is(err, postgres.ErrUnavailable) || p.cuts.Load() == 0 {
				t.Fatalf("Add = %v with %d cuts, want ErrUnavailable", err, p.cuts.Load())
			}
			p.cutAt.Store(nil)
			if c.behind { // the server may be at it still
				waitFor(t, func() bool {
					page, err := near.List(within(t), deadletter.Query{})
					return err == nil && page.Total == c.stored
				})
			}
			if err := far.Add(within(t), letters(0, 5, "a")); err != nil {
				t.Fatalf("Add again = %v", err)
			}
			adds(t, near, 5)
		})
	}
}

func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it never came")
		}
	}
}

func TestServerGoesAndComesBack(t *testing.T) {
	p := newProxy(t, server(t))
	name := schema(t)
	s := open(t, postgres.Config{URL: p.url + "&application_name=" + name, Schema: name})
	add(t, s, letters(0, 3, "a")...)
	p.down.Store(true)
	p.cut()
	waitFor(t, func() bool { // a connection of the pool may not know yet
		err := s.Add(within(t), letters(3, 4, "a"))
		if err != nil && !errors.Is(err, postgres.ErrUnavailable) {
			t.Fatalf("Add = %v, want ErrUnavailable", err)
		}
		return err != nil
	})
	if _, err := s.List(within(t), deadletter.Query{}); !errors.Is(err, postgres.ErrUnavailable) {
		t.Errorf("List = %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Add(ctx, letters(3, 4, "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Add with a ctx that has ended = %v", err)
	}
	p.down.Store(false)
	waitFor(t, func() bool { return s.Add(within(t), letters(3, 4, "a")) == nil })
	adds(t, s, 4)
	// The server's side of it: every backend is ended by an operator.
	exec(t, server(t), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name)
	waitFor(t, func() bool { return s.Add(within(t), letters(4, 5, "a")) == nil })
	adds(t, s, 5)
}

func TestLettersOfNodes(t *testing.T) {
	name := schema(t)
	a, b := open(t, postgres.Config{Schema: name}), open(t, postgres.Config{Schema: name})
	add(t, a, letters(0, 3, "node-a")...)
	add(t, b, letters(0, 2, "node-b")...)
	for query, want := range map[string]int{"node:node-b": 2, "node:node-*": 5, "-node:node-a": 2, "refused": 5, `payload.order:1`: 2, `-payload.order:1 node:node-a`: 2} {
		q := deadletter.Query{Where: parse(t, query)}
		page, err := a.List(within(t), q)
		if err != nil || page.Total != want {
			t.Errorf("List %s = %d, %v, want %d", query, page.Total, err, want)
		}
	}
	// The same without the index for texts, as where pg_trgm is not to be had.
	exec(t, server(t), "DROP INDEX "+name+".letter_rows_body")
	for query, want := range map[string]int{"refused": 5, "REFUSED node:node-b": 2, "nothing": 0} {
		page, err := a.List(within(t), deadletter.Query{Where: parse(t, query)})
		if err != nil || page.Total != want {
			t.Errorf("without the index, List %s = %d, %v, want %d", query, page.Total, err, want)
		}
	}
	// What people ask in SQL.
	conn := connect(t)
	var node, message, payload string
	err := conn.QueryRow(within(t), "SELECT node, error, payload FROM "+name+".letters WHERE id = 'node-b-00001'").Scan(&node, &message, &payload)
	if err != nil || node != "node-b" || message != "connection refused" || payload != `{"order":1}` {
		t.Errorf("the view has %q, %q, %q, %v", node, message, payload, err)
	}
}

// TestRights: a user who may do no more than read and write letters opens a store that
// is made, and one who may not is told.
func TestRights(t *testing.T) {
	url, name := server(t), schema(t)
	s := open(t, postgres.Config{Schema: name})
	add(t, s, letters(0, 1, "a")...)
	exec(t, url, "CREATE ROLE "+name+" LOGIN PASSWORD 'sesame'")
	t.Cleanup(func() {
		exec(t, url, "DROP OWNED BY "+name)
		exec(t, url, "DROP ROLE "+name)
	})
	theirs := strings.Replace(url, "postgres:troupe@", name+":sesame@", 1)
	if _, err := postgres.Open(within(t), postgres.Config{URL: theirs, Schema: name}); !errors.Is(err, postgres.ErrUnauthorized) {
		t.Errorf("Open without rights = %v, want ErrUnauthorized", err)
	} else {
		t.Log(err)
	}
	exec(t, url, "GRANT USAGE ON SCHEMA "+name+" TO "+name)
	exec(t, url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+name+" TO "+name)
	other := open(t, postgres.Config{URL: theirs, Schema: name})
	add(t, other, letters(0, 3, "a")...)
	if err := other.Record(within(t), deadletter.AuditEntry{By: "ada", Action: "redrive"}); err != nil {
		t.Errorf("Record = %v", err)
	}
	adds(t, s, 3)
	// The audit trail stays, whatever the rights.
	conn := connect(t)
	for _, sql := range []string{"DELETE FROM ", "UPDATE ONLY "} {
		sql += name + ".audit"
		if strings.HasPrefix(sql, "UPDATE") {
			sql += " SET count = 1"
		}
		if _, err := conn.Exec(within(t), sql); err == nil {
			t.Errorf("%s was allowed", sql)
		}
	}
}

func TestRetention(t *testing.T) {
	filled := make(chan postgres.Fill, 10)
	s := open(t, postgres.Config{
		Sweep: 10 * time.Millisecond,
		OnError: func(err error) {
			t.Errorf("sweep: %v", err)
		},
		Retention: postgres.Retention{
			MaxAge: 24 * time.Hour,
			Topics: map[string]postgres.Bounds{"bounded": {MaxCount: 10}},
			OnFill: func(f postgres.Fill) { filled <- f },
		},
	})
	now := time.Now()
	var all []deadletter.Letter
	for i := range 30 {
		l := letter(i, "a")
		l.FirstFailedAt, l.LastFailedAt = now, now
		switch {
		case i < 10: // too old, but for one that is being redriven
			l.LastFailedAt = now.Add(-48 * time.Hour)
			if i == 0 {
				l.State = deadletter.StateRedriving
			}
		case i < 25:
			l.Topic = "bounded"
			if i >= 20 {
				l.State = deadletter.StateResolved
			}
		}
		all = append(all, l)
	}
	add(t, s, all...)
	waitFor(t, func() bool {
		a, err := s.Account(within(t))
		return err == nil && a.Expired == 9 && a.Dropped == 5
	})
	a := adds(t, s, 30)
	if a.Redriving != 1 || a.Resolved != 0 || a.Open != 15 || a.Fill != 1 {
		t.Errorf("account %+v, want 1 redriving, none resolved, 15 open, fill 1", a)
	}
	if f := <-filled; f.Topic != "bounded" || f.Bounds.MaxCount != 10 {
		t.Errorf("OnFill(%+v), want bounded", f)
	}
	// A letter that somebody has deleted goes when its time has come.
	err := s.Update(within(t), all[12].ID, func(l *deadletter.Letter) error {
		return l.Delete(deadletter.Closing{At: now, PurgeAt: time.Now().Add(20 * time.Millisecond)})
	})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		_, err := s.Get(within(t), all[12].ID)
		return errors.Is(err, deadletter.ErrNotFound)
	})
	adds(t, s, 30)
}

func TestLimitsOfALetter(t *testing.T) {
	s := open(t, postgres.Config{MaxLetterBytes: 8 << 10})
	large, long := letter(1, "a"), letter(2, "a")
	large.Payload = make([]byte, 9<<10)
	long.Topic = strings.Repeat("x", 1001)
	for _, c := range []struct {
		l    deadletter.Letter
		want error
	}{{large, deadletter.ErrTooLarge}, {long, deadletter.ErrInvalidLetter}} {
		err := s.Add(within(t), []deadletter.Letter{letter(0, "a"), c.l})
		var le *deadletter.LetterError
		if !errors.Is(err, c.want) || !errors.As(err, &le) || le.Index != 1 {
			t.Errorf("Add = %v, want %v at 1", err, c.want)
		}
	}
	adds(t, s, 0)
}
