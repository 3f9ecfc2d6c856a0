package actors_test

import (
	"context"
	goruntime "runtime"
	"testing"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// BenchmarkCell is the whole way of an event, from one publisher through the log
// to the handler of one actor and into its account. The other rows are of
// events that fail.
func BenchmarkCell(b *testing.B) {
	now := supervisor.Retry{MaxAttempts: 2, BaseDelay: supervisor.NoDelay}
	always := supervisor.Restart{MaxRestarts: supervisor.Unlimited}
	secondTime := func(fail func() error) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			if attempt(ctx) == 1 {
				return fail()
			}
			return nil
		}
	}
	for _, bc := range []struct {
		name    string
		cfg     actors.CellConfig[int]
		receive func(context.Context, int) error
		want    func(n uint64) actors.Counts
	}{
		{"handle", actors.CellConfig[int]{}, func(context.Context, int) error { return nil },
			func(n uint64) actors.Counts { return actors.Counts{Done: n + 1} }},
		{"handle/drop_oldest", actors.CellConfig[int]{Config: actors.Config{Overflow: mailbox.DropOldest, Capacity: 1 << 30}}, func(context.Context, int) error { return nil },
			func(n uint64) actors.Counts { return actors.Counts{Done: n + 1} }},
		{"handle/timeout", actors.CellConfig[int]{Config: actors.Config{Timeout: 1 << 40}}, func(context.Context, int) error { return nil },
			func(n uint64) actors.Counts { return actors.Counts{Done: n + 1} }},
		{"handle/settled", actors.CellConfig[int]{Settled: func(int, error) {}}, func(context.Context, int) error { return nil },
			func(n uint64) actors.Counts { return actors.Counts{Done: n + 1} }},
		{"error+retry", actors.CellConfig[int]{Config: actors.Config{Policy: supervisor.Policy{Retry: now}}}, secondTime(func() error { return errBoom }),
			func(n uint64) actors.Counts { return actors.Counts{Done: n + 1, Failures: n, Retries: n} }},
		{"panic+restart", actors.CellConfig[int]{Config: actors.Config{Policy: supervisor.Policy{Retry: now, Restart: always}}}, secondTime(func() error { panic("boom") }),
			func(n uint64) actors.Counts { return actors.Counts{Done: n + 1, Failures: n, Retries: n, Restarts: n} }},
		{"dead letter", actors.CellConfig[int]{Config: actors.Config{Policy: once}}, func(context.Context, int) error { return errBoom },
			func(n uint64) actors.Counts {
				return actors.Counts{Done: 1, Failures: n, Dropped: map[string]uint64{actors.ReasonDeadLettersUnavailable: n}}
			}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			l := newLane(b, bc.cfg, bc.receive)
			b.ReportAllocs()
			ctx := context.Background()
			for b.Loop() {
				_ = l.log.Append(ctx, 1)
			}
			_ = l.log.Append(ctx, -1)
			<-l.handled
			b.StopTimer()
			l.cell.Stop(actors.Drain, "test")
			<-l.cell.Done()
			got, want := l.cell.Counts(), bc.want(uint64(b.N))
			if got.Done != want.Done || got.Failures != want.Failures || got.Retries != want.Retries || got.Restarts != want.Restarts ||
				got.TotalDropped() != want.TotalDropped() || got.Balance() != 0 {
				b.Fatalf("Counts = %+v, want %+v", got, want)
			}
		})
	}
}

// BenchmarkNewSystem is what a tree costs before it has an actor.
func BenchmarkNewSystem(b *testing.B) {
	first, err := actors.NewSystem(actors.SystemConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer first.Close()
	for _, bc := range []struct {
		name   string
		beside *actors.System
	}{{"alone", nil}, {"beside", first}} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sys, err := actors.NewSystem(actors.SystemConfig{Beside: bc.beside})
				if err != nil {
					b.Fatal(err)
				}
				sys.Close()
			}
		})
	}
}

// BenchmarkWake is an event for an actor that is idle, from publication to its
// handler and until the actor is idle again.
func BenchmarkWake(b *testing.B) {
	handled := 0
	l := newLane(b, actors.CellConfig[int]{}, func(context.Context, int) error { handled++; return nil })
	ctx := context.Background()
	usualStacks()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		_ = l.log.Append(ctx, 1)
		for l.cell.State() != actors.StateIdle {
			goruntime.Gosched()
		}
		n++
	}
	if handled != n {
		b.Fatalf("%d events handled, want %d", handled, n)
	}
}

// usualStacks makes Go begin goroutines with a stack as it does in a program that
// has run for a while: of the size that the collector has found to be usual. With
// less, most of the time of a wake-up would go into growing it.
func usualStacks() {
	until := make(chan struct{})
	var deep func(n int) int
	deep = func(n int) int {
		if n == 0 {
			<-until
			return 0
		}
		return deep(n-1) + 1
	}
	for range 100 {
		go deep(100)
	}
	goruntime.GC()
	close(until)
}
