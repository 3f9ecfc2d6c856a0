package actors_test

import (
	"bytes"
	"context"
	"errors"
	goruntime "runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// probe is an Instrument that writes down what it stands around.
type probe struct {
	tape[string]
	headers map[string]string
	panics  bool
}

type probeKey struct{}

func (p *probe) Begin(ctx context.Context) context.Context {
	if p.panics {
		panic("probe")
	}
	d, _ := actors.DeliveryFrom(ctx)
	p.add("begin " + d.Subscriber)
	return context.WithValue(ctx, probeKey{}, "seen")
}

func (p *probe) End(ctx context.Context, took time.Duration, err error) {
	if p.panics {
		panic("probe")
	}
	text := "nil"
	if err != nil {
		text = err.Error()
	}
	p.add("end " + ctx.Value(probeKey{}).(string) + " " + took.String() + " " + text)
}

type sender struct{ *probe }

func (s sender) Begin(ctx context.Context, n int, headers map[string]string) (context.Context, map[string]string) {
	if s.panics {
		panic("probe")
	}
	return context.WithValue(ctx, probeKey{}, "seen"), s.headers
}

func (s sender) End(ctx context.Context, accepted int, err error) {
	if s.panics {
		panic("probe")
	}
	s.add("sent " + ctx.Value(probeKey{}).(string))
}

func newInstrumented(t testing.TB, p *probe) *world {
	t.Helper()
	w := &world{TB: t, sink: &graveyard{}, seen: &record{}, held: &record{}}
	var err error
	if w.sys, err = actors.NewSystem(actors.SystemConfig{Observer: w.seen.observer(), Sink: w.sink, Instrument: actors.Instrument{
		Publishing: func(topic string) actors.Publishing {
			if topic == "plain" {
				return nil
			}
			return sender{p}
		},
		Handling: func(_, subscriber string) actors.Handling {
			if subscriber == "plain" {
				return nil
			}
			return p
		},
	}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sys.Close)
	return w
}

func TestInstrumentStandsAroundEveryAttempt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		cfg     actors.Config
		receive func(context.Context, int) error
		want    []string
	}{
		{"success", actors.Config{}, func(ctx context.Context, _ int) error {
			if ctx.Value(probeKey{}) != "seen" {
				return errors.New("not the context of Begin")
			}
			time.Sleep(time.Second)
			return nil
		}, []string{"begin subject", "end seen 1s nil"}},
		{"retry", actors.Config{Policy: retry}, func(ctx context.Context, _ int) error {
			if attempt(ctx) == 1 {
				return errBoom
			}
			return nil
		}, []string{"begin subject", "end seen 0s boom", "begin subject", "end seen 0s nil"}},
		{"panic", actors.Config{Policy: once}, func(context.Context, int) error { panic("crash") },
			[]string{"begin subject", "end seen 0s panic: crash"}},
		{"goexit", actors.Config{Policy: once}, func(context.Context, int) error { goruntime.Goexit(); return nil },
			[]string{"begin subject", "end seen 0s " + supervisor.ErrGoexit.Error()}},
		{"deadline", actors.Config{Policy: once, Timeout: time.Second}, func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() },
			[]string{"begin subject", "end seen 1s context deadline exceeded"}},
		{"abandoned", actors.Config{Timeout: time.Second, Grace: time.Second}, func(context.Context, int) error { time.Sleep(time.Minute); return nil },
			[]string{"begin subject", "end seen 1m0s nil"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &probe{}
				w := newInstrumented(t, p)
				s := w.handler(tc.cfg, tc.receive)
				s.publish(1)
				time.Sleep(time.Hour)
				synctest.Wait()
				want(t, "probe", p.all(), tc.want)
				s.balanced()
			})
		})
	}
}

// What happens to the event and the actor is the same with an instrument as
// without, also with one that panics.
func TestInstrumentChangesNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		probe *probe
	}{{"that works", &probe{}}, {"that panics", &probe{panics: true}}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run := func(name string) (actors.Counts, []string, []string) {
					w := newInstrumented(t, tc.probe)
					s := w.cell(actors.CellConfig[int]{
						Config: actors.Config{Name: name, Policy: retry},
						Factory: func() actors.Behavior[int] {
							return actors.Behavior[int]{Receive: func(ctx context.Context, ev int) error {
								switch ev + attempt(ctx) {
								case 2:
									return errBoom
								case 3:
									panic(errBoom)
								case 4:
									goruntime.Goexit()
								}
								return nil
							}}
						},
					})
					s.publish(1, 2, 3, 4)
					time.Sleep(time.Hour)
					synctest.Wait()
					return s.Counts(), w.seen.story(), w.sink.letters()
				}
				with, story, letters := run("subject")
				without, wantStory, wantLetters := run("plain")
				if with.Done != without.Done || with.Failures != without.Failures || with.Restarts != without.Restarts || with.Retries != without.Retries {
					t.Errorf("Counts = %+v, without %+v", with, without)
				}
				want(t, "story", story, wantStory)
				want(t, "letters", letters, wantLetters)
			})
		})
	}
}

func TestInstrumentKeepsTheStackOfAPanic(t *testing.T) {
	stacks := map[string][]string{}
	for _, name := range []string{"subject", "plain"} {
		var frames []string
		synctest.Test(t, func(t *testing.T) {
			w := newInstrumented(t, &probe{})
			s := w.handler(actors.Config{Name: name, Policy: once}, func(context.Context, int) error { return crashing(nil) })
			s.publish(1)
			synctest.Wait()
			var p *supervisor.PanicError
			if e := w.seen.of("Failed"); len(e) != 1 || !errors.As(e[0].Err, &p) {
				t.Fatalf("Failed = %+v", e)
			}
			for line := range strings.Lines(p.Stack) {
				if !strings.HasPrefix(line, "\t") {
					frames = append(frames, strings.TrimSpace(line))
				}
			}
		})
		stacks[name] = frames
	}
	with, without := stacks["subject"], stacks["plain"]
	if len(without) != 2 || !slices.Equal(with, without) {
		t.Errorf("stack = %q, without an instrument %q", with, without)
	}
}

func crashing(m map[string]int) error {
	m["nil"] = 1
	return nil
}

func TestInstrumentOfWhatAnActorIsTold(t *testing.T) {
	for _, panics := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &probe{headers: map[string]string{"trace": "1"}, panics: panics}
			w := newInstrumented(t, p)
			var headers map[string]string
			ref, err := actors.Spawn(w.sys, "told", func() actors.Behavior[int] {
				return actors.Behavior[int]{Receive: func(ctx context.Context, _ int) error {
					d, _ := actors.DeliveryFrom(ctx)
					headers = d.Headers
					return nil
				}}
			}, actors.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if err := ref.Tell(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if (headers["trace"] == "1") == panics {
				t.Errorf("headers = %v with a probe that panics: %v", headers, panics)
			}
			if err := ref.Stop(t.Context(), actors.Drain); err != nil {
				t.Fatal(err)
			}
			if err := ref.Tell(t.Context(), 2); !errors.Is(err, actors.ErrStopped) {
				t.Errorf("Tell = %v, want ErrStopped", err)
			}
			if !panics && len(p.all()) != 4 {
				t.Errorf("probe = %q, want two ends of sends and one handler", p.all())
			}
		})
	}
}

func TestProfileLabelsNameTheSubscriber(t *testing.T) {
	for _, on := range []bool{true, false} {
		sys, err := actors.NewSystem(actors.SystemConfig{ProfileLabels: on})
		if err != nil {
			t.Fatal(err)
		}
		log := mailbox.NewLog[int](sys.Guard())
		at, go_ := make(chan struct{}), make(chan struct{})
		cell, err := actors.SpawnCell(sys, log, actors.CellConfig[int]{Config: actors.Config{Topic: "orders", Name: "billing"},
			Receive: func(context.Context, int) error { close(at); <-go_; return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		<-at
		var profile bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
			t.Fatal(err)
		}
		close(go_)
		labels := `# labels: {"troupe_subscriber":"billing", "troupe_topic":"orders"}`
		if got := strings.Contains(profile.String(), labels); got != on {
			t.Errorf("labels are in the profile: %v, want %v", got, on)
		}
		cell.Stop(actors.Drain, "test")
		<-cell.Done()
		sys.Close()
	}
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorldWith(t, &graveyard{}, actors.Observer{Restarting: func(actors.Event) { <-release }})
		if err := w.sys.Ping(t.Context()); err != nil {
			t.Errorf("Ping = %v", err)
		}
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { panic("crash") })
		s.publish(1)
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		wantErr(t, "Ping while an observer blocks the root", w.sys.Ping(ctx), errBoom)
		close(release)
		if err := w.sys.Ping(t.Context()); err != nil {
			t.Errorf("Ping = %v", err)
		}
		s.Stop(actors.Discard, "test")
		<-s.Done()
		w.sys.Close()
		wantErr(t, "Ping after Close", w.sys.Ping(t.Context()), actors.ErrStopped)
	})
}
