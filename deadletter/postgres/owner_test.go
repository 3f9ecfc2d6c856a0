package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/postgres"
)

// A database's owner makes the schema and gives it to a role that may make none.
func TestSchemaThatWasMadeForTheRole(t *testing.T) {
	url, name := server(t), schema(t)
	exec(t, url, "CREATE ROLE "+name+" LOGIN PASSWORD 'sesame'")
	exec(t, url, "CREATE SCHEMA "+name+" AUTHORIZATION "+name)
	t.Cleanup(func() {
		exec(t, url, "DROP OWNED BY "+name+" CASCADE")
		exec(t, url, "DROP ROLE "+name)
	})
	theirs := strings.Replace(url, "postgres:troupe@", name+":sesame@", 1)
	add(t, open(t, postgres.Config{URL: theirs, Schema: name}), letters(0, 3, "a")...)
}

// What another process has deleted is gone when its time has come, also for one that
// has opened the store since.
func TestPurgeOfAnotherProcessesLetter(t *testing.T) {
	name := schema(t)
	first := open(t, postgres.Config{Schema: name, Sweep: time.Hour})
	add(t, first, letters(0, 1, "a")...)
	page, err := first.List(within(t), deadletter.Query{})
	if err != nil || len(page.Letters) != 1 {
		t.Fatalf("List = %d letters, %v", len(page.Letters), err)
	}
	id, due := page.Letters[0].ID, time.Now().Add(time.Second)
	err = first.Update(within(t), id, func(l *deadletter.Letter) error {
		return l.Delete(deadletter.Closing{At: time.Now(), By: "ada", PurgeAt: due})
	})
	if err != nil {
		t.Fatal(err)
	}
	next := open(t, postgres.Config{Schema: name, Sweep: time.Hour})
	time.Sleep(time.Until(due)) // the clock is what this is about
	if l, err := next.Get(within(t), id); err == nil {
		t.Errorf("Get = %+v, want ErrNotFound after its PurgeAt", l.Closed)
	}
}

// A page of many groups says of each what Group does: its rows are read together.
func TestPageOfGroupsSaysWhatGroupDoes(t *testing.T) {
	name := schema(t)
	s := open(t, postgres.Config{Schema: name})
	list := letters(0, 80, "a")
	for i := range list {
		list[i].Fingerprint = fmt.Sprintf("f%02d", i/2)
	}
	add(t, s, list...)
	page, err := s.Groups(within(t), deadletter.GroupQuery{Limit: 40})
	if err != nil || len(page.Groups) != 40 {
		t.Fatalf("Groups = %d, %v, want 40", len(page.Groups), err)
	}
	for _, g := range page.Groups {
		one, err := s.Group(within(t), g.Fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		if one.Sample != g.Sample || fmt.Sprint(one.Topics, one.Counts) != fmt.Sprint(g.Topics, g.Counts) || g.Counts[deadletter.StateOpen] != 2 {
			t.Errorf("group of the page %+v, alone %+v", g, one)
		}
	}
}
