package topics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// around notes what publications it stands around, and sends them off with mark.
type around struct {
	notes[string]
	mark string
}

func (a *around) Begin(ctx context.Context, n int, headers map[string]string) (context.Context, map[string]string) {
	a.add(fmt.Sprintf("begin %d %v", n, headers))
	if a.mark != "" {
		if headers == nil {
			headers = map[string]string{}
		}
		headers["mark"] = a.mark
	}
	return ctx, headers
}

func (a *around) End(_ context.Context, accepted int, err error) {
	a.add(fmt.Sprintf("end %d %v", accepted, err))
}

func newAround(t testing.TB, mark string, obs runtime.Observer) (*around, *troupetest.Runtime) {
	a := &around{mark: mark}
	return a, troupetest.New(t, runtime.Config{Observer: obs, Instrument: actors.Instrument{
		Publishing: func(string) actors.Publishing { return a },
	}})
}

func TestInstrumentStandsAroundEveryKindOfPublication(t *testing.T) {
	for _, mark := range []string{"", "m"} {
		t.Run("mark "+mark, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var accepted notes[string]
				a, rt := newAround(t, mark, runtime.Observer{Accepted: func(e runtime.Event) { accepted.add(e.Topic) }})
				topic := open(t, rt)
				var seen notes[string]
				subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
					d, _ := topics.DeliveryFrom(ctx)
					seen.add(fmt.Sprint(ev, d.Headers, d.PublishedAt.Unix() == 1))
					return nil
				})
				publish(t, topic, 1)
				own := map[string]string{"a": "b"}
				if err := topic.PublishWith(t.Context(), 2, topics.Meta{Headers: own, PublishedAt: time.Unix(1, 0)}); err != nil {
					t.Fatal(err)
				}
				if err := topic.PublishWith(t.Context(), 3, topics.Meta{PublishedAt: time.Unix(1, 0)}); err != nil {
					t.Fatal(err)
				}
				if n, err := topic.PublishBatch(t.Context(), []int{4, 5}); n != 2 || err != nil {
					t.Fatalf("PublishBatch = %d, %v", n, err)
				}
				rt.Idle()
				if len(own) != 1 {
					t.Errorf("the caller's headers have become %v", own)
				}
				wantSlice(t, "around", a.all(), "begin 1 map[]", "end 1 <nil>", "begin 1 map[a:b]", "end 1 <nil>",
					"begin 1 map[]", "end 1 <nil>", "begin 2 map[]", "end 2 <nil>")
				with := func(headers string) string {
					if mark == "" {
						return "map[" + headers + "]"
					}
					if headers != "" {
						headers += " "
					}
					return "map[" + headers + "mark:m]"
				}
				wantSlice(t, "deliveries", seen.all(), "1 "+with("")+" false", "2 "+with("a:b")+" true", "3 "+with("")+" true",
					"4 "+with("")+" false", "5 "+with("")+" false")
				wantSlice(t, "accepted", accepted.all(), "t", "t", "t", "t", "t")
			})
		})
	}
}

func TestInstrumentSeesWhatIsRefused(t *testing.T) {
	for _, mark := range []string{"", "m"} {
		synctest.Test(t, func(t *testing.T) {
			a, rt := newAround(t, mark, runtime.Observer{})
			topic := open(t, rt, topics.Config{Unrouted: topics.DeadLetterUnrouted})
			publish(t, topic, 1) // becomes a letter, with its headers
			rt.WantLetters(deadletter.Letter{Topic: "t", Reason: supervisor.ReasonUnrouted})
			if got := rt.Letters()[0].Headers["mark"]; got != mark {
				t.Errorf("letter's mark = %q, want %q", got, mark)
			}
			if _, err := rt.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			n, err := topic.PublishBatch(t.Context(), []int{1, 2})
			if n != 0 || !errors.Is(err, runtime.ErrClosed) {
				t.Errorf("PublishBatch = %d, %v", n, err)
			}
			wantSlice(t, "around", a.all(), "begin 1 map[]", "end 1 <nil>", "begin 2 map[]", "end 0 "+err.Error())
			if p := account(t, rt); p.Attempted != 2 || p.Accepted != 1 || p.Rejected["closed"] != 1 {
				t.Errorf("account = %+v", p)
			}
		})
	}
}

// Publications and handlers of a runtime without an instrument allocate nothing.
func TestInstrumentCostsNothingWhenThereIsNone(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	handled := make(chan struct{}, 1)
	subscribe(t, topic, "s", func(_ context.Context, ev int) error {
		if ev < 0 {
			handled <- struct{}{}
		}
		return nil
	})
	const n = 20000
	ctx := t.Context()
	if per := testing.AllocsPerRun(5, func() {
		for range n {
			_ = topic.Publish(ctx, 1)
		}
		_ = topic.Publish(ctx, -1)
		<-handled
	}) / n; per > 0.02 {
		t.Errorf("%.3f allocations per event, want 0", per)
	}
}
