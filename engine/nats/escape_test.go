package nats

import (
	"fmt"
	"testing"
)

// Names that differ stay different, and are fit for streams and consumers.
func TestNamesStayApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "a.b", "a_b", "a-b", "a=5Fb", "a._b", "a_.b", "A.B", "order_items.new", "order.items_new"} {
		escaped := escapeName(name)
		if other, ok := seen[escaped]; ok {
			t.Errorf("%q and %q are both %q", name, other, escaped)
		}
		seen[escaped] = name
		for _, c := range escaped {
			if c == '.' || c == '*' || c == '>' || c == ' ' || c == '/' {
				t.Errorf("escapeName(%q) = %q, which is no name of a stream", name, escaped)
			}
		}
	}
	if got := escapeName("order_items.new"); got != "order=5Fitems_new" {
		t.Errorf("escapeName = %q", got)
	}
}

// Where a key goes must never change: these are recorded.
func TestPartitionsOfKeysStay(t *testing.T) {
	for key, want := range map[string]int{"": 0, "a": 5, "b": 6, "customer-17": 1, "käy": 5} {
		if got := partition(key, 9); got != want {
			t.Errorf("partition(%q) = %d, want %d", key, got, want)
		}
	}
	used := map[int]int{}
	for i := range 8000 {
		used[partition(fmt.Sprint("key ", i), 9)]++
	}
	if used[0] != 0 || len(used) != 8 {
		t.Errorf("8,000 keys go to %v, want 1 to 8", used)
	}
	for p, n := range used {
		if n < 800 || n > 1200 {
			t.Errorf("partition %d has %d of 8,000 keys", p, n)
		}
	}
}

func TestReplySubjects(t *testing.T) {
	for reply, want := range map[string]delivered{
		"$JS.ACK.orders.group.2.17.40.1700000000000000001.5":                  {2, 17, 1700000000000000001},
		"$JS.ACK._.ABCD.orders.group.1.9.10.1700000000000000002.0":            {1, 9, 1700000000000000002},
		"$JS.ACK.hub.ABCD.orders.group.3.9.10.1700000000000000003.0.rAnd0m12": {3, 9, 1700000000000000003},
	} {
		if got, err := parseReply(reply); err != nil || got != want {
			t.Errorf("parseReply(%s) = %v, %v, want %v", reply, got, err, want)
		}
	}
	for _, reply := range []string{"", "$JS.ACK", "_INBOX.a.b.c.d.e.f.g.h", "$JS.ACK.s.c.x.1.1.1.1", "$JS.ACK.s.c.1.-1.1.1.1", "$JS.ACK.a.b.c.d.e.f.g.h"} {
		if _, err := parseReply(reply); err == nil {
			t.Errorf("parseReply(%q) is not refused", reply)
		}
	}
}

func FuzzReplySubjects(f *testing.F) {
	f.Add("$JS.ACK.orders.group.2.17.40.1700000000000000001.5")
	f.Fuzz(func(t *testing.T, reply string) { _, _ = parseReply(reply) })
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{"2.9.10": false, "2.10.3": false, "2.10.4": true, "2.10.4-beta.1": true, "2.11.0": true, "3.0.0": true, "1.99.99": false} {
		if got := atLeast(version, 2, 10, 4); got != want {
			t.Errorf("atLeast(%s, 2.10.4) = %v", version, got)
		}
	}
}
