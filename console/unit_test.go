package console_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

func TestUserFrames(t *testing.T) {
	stack := `goroutine 35 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
panic({0x1, 0x2})
	/usr/local/go/src/runtime/panic.go:860 +0x13a
main.charge(...)
	/src/shop/charge.go:12
shop/billing.(*Gateway).Do(0xc000, {0x1})
	/src/shop/billing/gateway.go:40 +0x1d
example.com/lib.Retry(0x1)
	/root/go/pkg/mod/example.com/lib@v1.2.3/retry.go:9 +0x2
github.com/troupe-go/troupe/actors.(*cell).call(0x1)
	/src/troupe/actors/cell.go:100 +0x2
github.com/troupe-go/troupe/examples/orders.pay(0x1)
	/src/troupe/examples/orders/pay.go:3 +0x2
net/http.(*conn).serve(0x1)
	/usr/local/go/src/net/http/server.go:2000 +0x2
created by example.org/app.Start in goroutine 1
	/src/app/start.go:5 +0x1
`
	lines := strings.Split(stack, "\n")
	var got []string
	for _, i := range console.UserFrames(stack) {
		if !strings.HasPrefix(lines[i], "\t") {
			name, _, _ := strings.Cut(strings.TrimPrefix(lines[i], "created by "), "(")
			got = append(got, strings.TrimSuffix(name, " in goroutine 1"))
		}
	}
	want := []string{"main.charge", "shop/billing.", "github.com/troupe-go/troupe/examples/orders.pay", "example.org/app.Start"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
	for _, bad := range []string{"", "\t", "x", "\t\t\n\tx", strings.Repeat("\n", 10)} {
		if got := console.UserFrames(bad); len(got) > 0 {
			t.Errorf("frames of %q: %v", bad, got)
		}
	}
}

func TestLetterDiff(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want []ops.DiffLine
	}{
		{`{"id":9007199254740993}`, `{"id":9007199254740992}`, []ops.DiffLine{{Path: "payload.id", Old: "9007199254740993", New: "9007199254740992"}}},
		{`{"a":[1,{"b":2}]}`, `{"a":[1,{"b":3},4]}`, []ops.DiffLine{{Path: "payload.a[1].b", Old: "2", New: "3"}, {Path: "payload.a[2]", New: "4"}}},
		{`{"a":{}}`, `{"a":null}`, []ops.DiffLine{{Path: "payload.a", Old: "{}", New: "null"}}},
		{`{"a":"<b>"}`, `{}`, []ops.DiffLine{{Path: "payload", New: "{}"}, {Path: "payload.a", Old: `"<b>"`}}},
		{"\xff", `1`, []ops.DiffLine{{Path: "payload", Old: `"/w=="`, New: "1"}}},
		{`1 2`, `1 2`, nil},
	} {
		a, b := deadletter.Letter{Payload: []byte(c.a)}, deadletter.Letter{Payload: []byte(c.b)}
		if got := console.LetterDiff(&a, &b); !reflect.DeepEqual(got, c.want) {
			t.Errorf("diff of %s and %s = %+v, want %+v", c.a, c.b, got, c.want)
		}
	}
}
