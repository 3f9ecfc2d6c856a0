package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"
	"pgregory.net/rapid"
)

// act is what one attempt at an event does.
type act string

const (
	actOK        act = "ok"
	actFail      act = "fail"
	actPermanent act = "permanent"
	actSkip      act = "skip"
	actPanic     act = "panic"
	actGoexit    act = "goexit"
	actHang      act = "hang" // beyond deadline and grace, deaf
	actLate      act = "late" // an error after the deadline, within the grace
	actSlow      act = "slow" // takes a while and succeeds
)

var acts = []act{actOK, actOK, actOK, actFail, actFail, actPermanent, actSkip, actPanic, actGoexit, actHang, actLate, actSlow}

const (
	scriptTimeout = time.Second
	scriptGrace   = time.Second
	hangs         = 10 * time.Minute
)

// event says itself what its attempts do, so that outcomes do not depend on who
// handles it when.
type event struct {
	ID    int
	Acts  []act // by attempt; ok after the last
	Again []act // when redriven
}

var errScript = errors.New("scripted failure")

func perform(a act) error {
	switch a {
	case actFail:
		return errScript
	case actPermanent:
		return supervisor.Permanent(errScript)
	case actSkip:
		return supervisor.Skip(errScript)
	case actPanic:
		panic("scripted panic")
	case actGoexit:
		goruntime.Goexit()
	case actHang:
		time.Sleep(hangs)
	case actLate:
		time.Sleep(scriptTimeout + scriptGrace/2)
		return errScript
	case actSlow:
		time.Sleep(scriptTimeout / 10)
	}
	return nil
}

func (e event) act(d topics.Delivery) act {
	list := e.Acts
	if d.LetterID != "" {
		list = e.Again
	}
	if d.Attempt <= len(list) {
		return list[d.Attempt-1]
	}
	return actOK
}

// outcome predicts what becomes of the event under a policy of that many attempts.
func (e event) outcome(attempts int) string {
	for n := 1; ; n++ {
		switch a := e.act(topics.Delivery{Attempt: n}); a {
		case actOK, actSlow:
			return "done"
		case actPermanent, actSkip, actHang:
			return map[act]string{actPermanent: supervisor.ReasonPermanent, actSkip: supervisor.ReasonSkipped, actHang: supervisor.ReasonHung}[a]
		}
		if n == attempts {
			return supervisor.ReasonExhausted
		}
	}
}

// step is one thing that a script does. Steps that may block run beside those
// that follow.
type step struct {
	Do    string
	Who   int     // subscriber
	Rest  int     // unsubscribe
	Pub   []event // publish
	Which int     // redrive: of the open letters
	Times int     // redrive: budget
	Wait  time.Duration
}

type script struct {
	Capacity  int
	MaxParked int
	Attempts  int
	Unrouted  topics.Unrouted
	Anchor    bool // a subscriber that is there from beginning to end
	Steps     []step
	Deadline  time.Duration // of the shutdown
}

func genEvent(id *int) *rapid.Generator[event] {
	return rapid.Custom(func(t *rapid.T) event {
		*id++
		return event{
			ID:    *id,
			Acts:  rapid.SliceOfN(rapid.SampledFrom(acts), 0, 3).Draw(t, "acts"),
			Again: rapid.SliceOfN(rapid.SampledFrom(acts), 0, 2).Draw(t, "again"),
		}
	})
}

func genScript() *rapid.Generator[script] {
	return rapid.Custom(func(t *rapid.T) script {
		id := 0
		wait := rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 150 * time.Millisecond, 3 * time.Second, 2 * time.Minute})
		genStep := rapid.Custom(func(t *rapid.T) step {
			s := step{
				Do: rapid.SampledFrom([]string{"publish", "publish", "publish", "publish", "subscribe", "unsubscribe",
					"pause", "resume", "resume", "restart", "redrive", "redrive", "wait"}).Draw(t, "do"),
				Who:  rapid.IntRange(0, 2).Draw(t, "who"),
				Wait: wait.Draw(t, "wait"),
			}
			switch s.Do {
			case "publish":
				s.Pub = rapid.SliceOfN(genEvent(&id), 1, 12).Draw(t, "events")
			case "unsubscribe":
				s.Rest = rapid.IntRange(0, 2).Draw(t, "rest")
			case "redrive":
				s.Which, s.Times = rapid.IntRange(0, 5).Draw(t, "which"), rapid.IntRange(0, 2).Draw(t, "budget")
			}
			return s
		})
		return script{
			Capacity:  rapid.SampledFrom([]int{1, 2, 3, 16, 4096}).Draw(t, "capacity"),
			MaxParked: rapid.SampledFrom([]int{1, 2, 100}).Draw(t, "max parked"),
			Attempts:  rapid.IntRange(1, 3).Draw(t, "attempts"),
			Unrouted:  topics.Unrouted(rapid.IntRange(0, 2).Draw(t, "unrouted")),
			Anchor:    rapid.Bool().Draw(t, "anchor"),
			Steps:     rapid.SliceOfN(genStep, 1, 25).Draw(t, "steps"),
			Deadline:  rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, time.Hour}).Draw(t, "deadline"),
		}
	})
}

// play is one run of a script: what it did itself, and what it was told.
type play struct {
	script   script
	overflow mailbox.Overflow
	ordering actors.Ordering

	rt    *runtime.Runtime
	topic *topics.Topic[event]
	store *deadletter.Memory

	mu        sync.Mutex
	faults    []string
	subs      map[int]*topics.Subscription // by Who
	all       []*topics.Subscription
	published uint64            // Publish returned nil
	refused   uint64            // it returned an error
	nils      uint64            // a handler returned nil, but for those that were given up
	redrives  map[string]int    // Redrive returned nil, by letter
	told      map[string]uint64 // by the observer
	dropped   map[string]uint64
	ends      map[delivery][]string // what the observer was told of one delivery
	shut      uint64                // dead letters with reason shutdown
}

type delivery struct {
	sub string
	seq uint64
}

func (p *play) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// TB of a play: what CheckAccount finds wrong.
type playTB struct {
	testing.TB
	p *play
}

func (t playTB) Helper()                           {}
func (t playTB) Errorf(format string, args ...any) { t.p.fault(format, args...) }

func (p *play) observer() runtime.Observer {
	count := func(what string) func(runtime.Event) {
		return func(runtime.Event) {
			p.mu.Lock()
			p.told[what]++
			p.mu.Unlock()
		}
	}
	end := func(e runtime.Event, how string) {
		if e.Subscriber != "" && e.Sequence > 0 {
			d := delivery{e.Subscriber, e.Sequence}
			p.ends[d] = append(p.ends[d], how)
		}
	}
	return runtime.Observer{
		Accepted: count("accepted"), Rejected: count("rejected"), Unrouted: count("unrouted"),
		Failed: count("failed"), Late: count("late"), Hung: count("hung"),
		Handled: func(e runtime.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.told["handled"]++
			end(e, "done")
		},
		DeadLettered: func(e runtime.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.told["dead-lettered"]++
			if e.Reason == supervisor.ReasonShutdown {
				p.shut++
			}
			end(e, e.Reason)
		},
		Dropped: func(e runtime.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.dropped[e.Reason] += e.Count
			if e.Count == 0 {
				p.faults = append(p.faults, fmt.Sprintf("dropped without a count: %+v", e))
			}
			end(e, e.Reason)
		},
	}
}

func (p *play) handle(ctx context.Context, ev event) error {
	d, ok := topics.DeliveryFrom(ctx)
	if !ok {
		p.fault("no delivery facts")
	}
	a := ev.act(d)
	err := perform(a)
	if err == nil && a != actHang {
		p.mu.Lock()
		p.nils++
		p.mu.Unlock()
	}
	return err
}

func (p *play) subscribe(name string) *topics.Subscription {
	sub, err := p.topic.Subscribe(name, p.handle, topics.SubscriberConfig{
		Retry:    supervisor.Retry{MaxAttempts: p.script.Attempts},
		Capacity: p.script.Capacity, Overflow: p.overflow, Ordering: p.ordering, MaxParked: p.script.MaxParked,
		Timeout: scriptTimeout, Grace: scriptGrace, MaxZombies: 1 << 20,
	})
	if err != nil {
		if !errors.Is(err, runtime.ErrNameTaken) {
			p.fault("subscribe %s: %v", name, err)
		}
		return nil
	}
	p.all = append(p.all, sub)
	return sub
}

func (p *play) publish(events []event) {
	for _, ev := range events {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := p.topic.Publish(ctx, ev)
		cancel()
		p.mu.Lock()
		if err == nil {
			p.published++
		} else {
			p.refused++
		}
		p.mu.Unlock()
		switch {
		case err == nil, errors.Is(err, runtime.ErrClosed), errors.Is(err, topics.ErrNoSubscriber):
		case errors.Is(err, context.DeadlineExceeded) && p.overflow == mailbox.Block:
		case errors.Is(err, topics.ErrFull) && p.overflow == mailbox.Reject:
		default:
			p.fault("publish: %v", err)
		}
	}
}

func (p *play) redrive(which, budget int) {
	page, err := p.store.List(context.Background(), deadletter.Query{State: deadletter.StateOpen})
	if err != nil {
		p.fault("list: %v", err)
		return
	}
	if which >= len(page.Letters) {
		return
	}
	l := page.Letters[which]
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = p.rt.Redrive(ctx, l.ID, runtime.RedriveConfig{Budget: budget})
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil && l.Subscriber == "":
		p.published++
	case err == nil:
		p.redrives[l.ID]++
	case l.Subscriber == "" && !errors.Is(err, deadletter.ErrNotOpen) && !errors.Is(err, runtime.ErrClosed):
		p.refused++
	}
}

// run plays the script and checks the account at each step and in the end.
func (p *play) run() {
	p.subs, p.redrives = map[int]*topics.Subscription{}, map[string]int{}
	p.told, p.dropped, p.ends = map[string]uint64{}, map[string]uint64{}, map[delivery][]string{}
	tb := playTB{p: p}
	var err error
	if p.store, err = deadletter.NewMemory(deadletter.MemoryConfig{}); err != nil {
		p.fault("%v", err)
		return
	}
	if p.rt, err = runtime.New(runtime.Config{DeadLetters: p.store, Observer: p.observer()}); err != nil {
		p.fault("%v", err)
		return
	}
	p.topic, err = topics.Open[event](p.rt, "t", topics.Config{Unrouted: p.script.Unrouted})
	if err != nil {
		p.fault("%v", err)
		return
	}
	var anchor *topics.Subscription
	if p.script.Anchor {
		anchor = p.subscribe("anchor")
	}

	var beside sync.WaitGroup
	for _, s := range p.script.Steps {
		name := fmt.Sprint("s", s.Who)
		sub := p.subs[s.Who]
		switch s.Do {
		case "publish":
			beside.Go(func() { p.publish(s.Pub) })
		case "subscribe":
			if sub := p.subscribe(name); sub != nil {
				p.subs[s.Who] = sub
			}
		case "unsubscribe":
			if sub != nil {
				beside.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					_ = sub.Unsubscribe(ctx, actors.Rest(s.Rest)) // the outcome is in the account
				})
			}
		case "pause":
			_ = p.rt.Pause("t", name) // if it is there
		case "resume":
			_ = p.rt.Resume("t", name)
		case "restart":
			_ = p.rt.Restart("t", name)
		case "redrive":
			p.redrive(s.Which, s.Times)
		}
		troupetest.CheckAccount(tb, p.rt.Snapshot())
		time.Sleep(s.Wait)
		troupetest.CheckAccount(tb, p.rt.Snapshot())
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.script.Deadline)
	report, err := p.rt.Shutdown(ctx)
	cancel()
	if err != nil {
		p.fault("shutdown: %v", err)
	}
	beside.Wait()
	time.Sleep(2 * hangs)
	synctest.Wait()
	p.check(report, anchor)
}

// check compares the account with what the script has done and seen itself.
func (p *play) check(report runtime.Report, anchor *topics.Subscription) {
	snap := p.rt.Snapshot()
	troupetest.CheckAccount(playTB{p: p}, snap)
	topic, _ := snap.Topic("t")
	p.mu.Lock()
	defer p.mu.Unlock()
	same := func(what string, got, want uint64) {
		if got != want {
			p.faults = append(p.faults, fmt.Sprintf("%s = %d, want %d", what, got, want))
		}
	}
	same("Accepted", topic.Accepted, p.published)
	same("accepted, as told", p.told["accepted"], p.published)
	same("Attempted", topic.Attempted, p.published+p.refused)
	same("rejected, as told", p.told["rejected"], p.refused)
	same("Unrouted", topic.Unrouted, p.told["unrouted"])
	same("Done", snap.Total.Done, p.nils)
	same("handled, as told", p.told["handled"], p.nils)
	same("DeadLettered", snap.Total.DeadLettered, p.told["dead-lettered"])
	same("Failures", snap.Total.Failures, p.told["failed"])
	same("Late", uint64(snap.Total.Late), 0+snap.Total.Abandoned)
	same("Abandoned", snap.Total.Abandoned, p.told["hung"])
	same("Zombies", uint64(snap.Total.Zombies), 0)
	same("reasons of drops", uint64(len(snap.Total.Dropped)), uint64(len(p.dropped)))
	for reason, n := range p.dropped {
		same("Dropped "+reason, snap.Total.Dropped[reason], n)
	}
	if report.Snapshot.Total.Deliveries != snap.Total.Deliveries || len(report.StillRunning) > 0 != (report.Snapshot.Total.Zombies > 0) {
		p.faults = append(p.faults, fmt.Sprintf("report = %+v, but in the end %+v", report, snap))
	}
	var left uint64
	for _, l := range report.Left {
		left += l.Events
	}
	same("left, as reported", left, p.shut)
	if anchor != nil {
		c := anchor.Snapshot().Counts
		same("deliveries of a subscriber that was there throughout", c.Deliveries, topic.Accepted+c.Redelivered)
	}

	// Each delivery has one outcome, and one more for each time it was given
	// back; what was dead-lettered has one letter.
	letters, unrouted := map[delivery]int{}, uint64(0)
	again := map[delivery]int{}
	ctx := context.Background()
	for q := (deadletter.Query{Limit: deadletter.MaxLimit}); ; {
		page, err := p.store.List(ctx, q)
		if err != nil {
			p.faults = append(p.faults, err.Error())
			return
		}
		for _, l := range page.Letters {
			d := delivery{l.Subscriber, l.Sequence}
			letters[d]++
			again[d] += p.redrives[l.ID]
			if l.Subscriber == "" {
				unrouted++
			}
			if l.State == deadletter.StateRedriving {
				p.faults = append(p.faults, fmt.Sprintf("letter %s of %v is still being redriven: %+v", l.ID, d, l.Redrives))
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	same("letters of unrouted events", unrouted, topic.Undelivered.DeadLettered)
	for d, ends := range p.ends {
		if len(ends) != 1+again[d] {
			// What is discarded or dropped on overflow is told in sums only.
			lost := p.dropped[supervisor.ReasonUnsubscribed] > 0
			if len(ends) > 1+again[d] || !lost {
				p.faults = append(p.faults, fmt.Sprintf("delivery %v ended %d times, want %d: %v", d, len(ends), 1+again[d], ends))
			}
		}
		dead := 0
		if slices.ContainsFunc(ends, func(e string) bool { return e != "done" && e != supervisor.ReasonSkipped }) {
			dead = 1
		}
		if letters[d] != dead && !slices.Contains(ends, actors.ReasonDeadLettersUnavailable) {
			p.faults = append(p.faults, fmt.Sprintf("delivery %v has %d letters, want %d: %v", d, letters[d], dead, ends))
		}
	}
}

// Whatever is done to a runtime in whatever order, every event that was accepted
// has exactly one outcome for every subscriber it was for, and the account says
// so at every moment.
func TestConservation(t *testing.T) {
	for overflow := mailbox.Block; overflow.Valid(); overflow++ {
		for _, ordering := range []actors.Ordering{actors.Ordered, actors.Parked} {
			t.Run(fmt.Sprintf("%v/%v", overflow, ordering), func(t *testing.T) {
				rapid.Check(t, func(r *rapid.T) {
					p := &play{script: genScript().Draw(r, "script"), overflow: overflow, ordering: ordering}
					synctest.Test(t, func(*testing.T) { p.run() })
					for _, f := range p.faults {
						r.Error(f)
					}
				})
			})
		}
	}
}

// What becomes of an event depends on what its handler makes of it and on
// nothing else: not on the policy, as long as it loses nothing, nor on the
// capacity, the ordering or the number of publishers.
func TestSameOutcomeUnderEveryLosslessPolicy(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		id := 0
		events := rapid.SliceOfN(genEvent(&id), 1, 40).Draw(r, "events")
		attempts := rapid.IntRange(1, 4).Draw(r, "attempts")
		want := map[int]string{}
		for _, ev := range events {
			want[ev.ID] = ev.outcome(attempts)
		}
		for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.Reject, mailbox.Unbounded} {
			for _, ordering := range []actors.Ordering{actors.Ordered, actors.Parked} {
				for _, capacity := range []int{1, 3, 4096} {
					for _, producers := range []int{1, 3} {
						cfg := topics.SubscriberConfig{
							Retry: supervisor.Retry{MaxAttempts: attempts}, Overflow: overflow, Ordering: ordering, Capacity: capacity,
							Timeout: scriptTimeout, Grace: scriptGrace, MaxZombies: 1 << 20,
						}
						var got map[int]string
						synctest.Test(t, func(t *testing.T) { got = outcomes(t, events, producers, cfg) })
						if !maps.Equal(got, want) {
							r.Errorf("under %v, %v, capacity %d, %d producers: outcomes = %v, want %v", overflow, ordering, capacity, producers, got, want)
						}
					}
				}
			}
		}
	})
}

// outcomes publishes the events and returns what became of each.
func outcomes(t *testing.T, events []event, producers int, cfg topics.SubscriberConfig) map[int]string {
	var mu sync.Mutex
	ids, ends := map[uint64]int{}, map[uint64]string{}
	end := func(e runtime.Event, how string) {
		mu.Lock()
		defer mu.Unlock()
		if ends[e.Sequence] != "" {
			how = ends[e.Sequence] + " and " + how
		}
		ends[e.Sequence] = how
	}
	rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop(), Observer: runtime.Observer{
		Handled:      func(e runtime.Event) { end(e, "done") },
		DeadLettered: func(e runtime.Event) { end(e, e.Reason) },
		Dropped:      func(e runtime.Event) { end(e, e.Reason) },
	}})
	topic := open[event](t, rt, "t")
	subscribe(t, topic, "s", func(ctx context.Context, ev event) error {
		d, _ := topics.DeliveryFrom(ctx)
		mu.Lock()
		ids[d.Sequence] = ev.ID
		mu.Unlock()
		return perform(ev.act(d))
	}, cfg)
	var publishers sync.WaitGroup
	for p := range producers {
		publishers.Go(func() {
			for i := p; i < len(events); i += producers {
				for {
					err := topic.Publish(t.Context(), events[i])
					if err == nil {
						break
					}
					if !errors.Is(err, topics.ErrFull) {
						t.Errorf("publish: %v", err)
						return
					}
					time.Sleep(time.Second)
				}
			}
		})
	}
	publishers.Wait()
	rt.Idle(1000 * time.Hour)
	time.Sleep(hangs)
	mu.Lock()
	defer mu.Unlock()
	got := map[int]string{}
	for seq, id := range ids {
		got[id] = ends[seq]
	}
	return got
}
