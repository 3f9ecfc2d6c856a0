package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
)

// The refusals of a redrive.
var (
	// ErrNoPayload is returned for a letter whose event could not be kept.
	ErrNoPayload = errors.New("runtime: letter has no payload")
	// ErrNoRehearsal is returned for a rehearsal that the subscriber does not allow.
	ErrNoRehearsal = errors.New("runtime: subscriber allows no rehearsals")
	// ErrStoreFailed is returned when the store could not mark the letter as going
	// back. The event has not been sent.
	ErrStoreFailed = errors.New("runtime: dead-letter store failed")
	// ErrElsewhere is returned for what only the member of the fleet can do that has
	// the subscriber: a rehearsal, and decoding.
	ErrElsewhere = errors.New("runtime: subscriber lives at another member of the fleet")
	// ErrInDoubt is what a redrive ends with whose outcome could not be written.
	ErrInDoubt = errors.New("runtime: outcome of the redrive could not be written")
)

// RedriveConfig says how a dead letter is given back. The zero value works.
type RedriveConfig struct {
	// By says who asked for it and Why, for the record.
	By, Why string
	// Operation names the operation that the redrive is part of, for the record.
	Operation string
	// Budget is how many attempts it may use. Zero is what the subscriber's
	// retry policy grants to a new event.
	Budget int
	// To is another destination. Zero is the subscriber that failed.
	To Destination
	// Edit, if set, makes the event that is sent in place of the letter's, from a
	// copy of the letter. It is called once for each letter, before anything
	// changes; an error refuses that letter.
	Edit func(deadletter.Letter) (Edited, error)
	// Rehearse has the handler called once, without any consequence for the letter:
	// it stays as it is, whatever the handler returns, and has no record of it. The
	// subscriber has to allow it; see topics.SubscriberConfig.
	Rehearse bool
	// Ended is told the outcome, once for each letter for which the redrive has
	// returned nil, after it is in the store. It is called by the goroutine that
	// writes dead letters, or that of the handler: it must not block. It is not
	// called for an event whose handler still runs when the runtime has ended.
	Ended func(Redriven)
}

// Destination is where a redriven event goes.
type Destination struct {
	// Topic is that of the letter if it is empty. It may be a pattern, as which a
	// subscriber has subscribed.
	Topic string
	// Subscriber is one subscriber. Empty, with a Topic, is all of its subscribers:
	// the event is published there.
	Subscriber string
}

// Edited is an event that takes the place of a letter's.
type Edited struct {
	// Payload and its encoding. Empty ones are those of the letter.
	Payload     []byte
	ContentType string
	// Headers are those of the letter if they are nil. Those that say what the
	// event follows from are set: it is caused by the letter's.
	Headers map[string]string
	// EventID is made if it is empty.
	EventID string
	// As is what the letter is closed as; empty is deadletter.ClosedByEdit.
	As string
}

// Redriven says how a redrive has ended.
type Redriven struct {
	Letter  string
	Outcome deadletter.Outcome
	// Error is the message of the last attempt, or why there was none.
	Error string
	// EventID is that of the event that was sent in place of the letter's. NewLetter
	// names the letter that it has become, if it has failed.
	EventID, NewLetter string
	// Unsaved wraps ErrInDoubt if the outcome could not be brought into the store,
	// because the runtime has ended. The letter is still redriving there; see
	// [Runtime.RecoverRedrives].
	Unsaved error
}

// Redrive gives a dead letter's event back to the one subscriber that failed,
// never to others, and returns when it is in that subscriber's mailbox. The
// letter stays and records the outcome: it is resolved when the handler
// succeeds and open again, with the new attempts, when it does not. A letter of
// an event that found no subscriber is published again.
//
// With RedriveConfig.To the event goes elsewhere. What the letter says of its
// failure stays as it is then: only the outcome is recorded. One that is published
// to a topic is resolved at once, since the topic's subscribers answer for it.
//
// With RedriveConfig.Edit another event is sent, with an ID of its own. The letter
// is resolved when its handler succeeds; if it does not, the new event is a letter
// of its own, and the old one is resolved once that is in the store. So there is one
// open letter at any time, whatever becomes of the process.
//
// If the store is a deadletter.Fleet, a letter whose subscriber is not here goes to a
// member that has it: Redrive returns when the errand is in the store, and a member takes
// it within about [FleetBeat], as its subscriber has room. If none takes it for
// [FleetPatience], it is aborted and the letter open again.
//
// Delivery is at least once: after a crash a letter may be redriving whose
// handler has succeeded; see [Runtime.RecoverRedrives]. Redriven events are not in
// order with others. Those of one subscriber are handled in the order in which they
// were given back; while one waits for its next attempt, those behind it wait under
// topics.Ordered, and with a Key those of the same key. Otherwise they overtake it.
//
// Errors: [ErrClosed]; deadletter.ErrNotFound; deadletter.ErrNotOpen, which keeps two
// operators from sending the same event twice; [ErrNoPayload], [ErrNoRehearsal];
// [ErrUnknownTopic], [ErrUnknownSubscriber], [ErrTypeMismatch]; a mailbox.FullError
// when as many redriven events wait as the mailbox may hold; what decoding or Edit
// returned; those of the store. After an error the letter is open, with a record of
// the try if it came to one.
func (rt *Runtime) Redrive(ctx context.Context, letterID string, cfg ...RedriveConfig) error {
	c := optional(cfg)
	err := c.validate()
	if err == nil && !rt.running() {
		err = ErrClosed
	}
	if err != nil {
		return redriveError(letterID, err)
	}
	l, err := rt.cfg.DeadLetters.Get(ctx, letterID)
	if err != nil {
		return redriveError(letterID, err)
	}
	return rt.RedriveLetters(ctx, []deadletter.Letter{l}, c)[0]
}

func redriveError(id string, err error) error {
	return fmt.Errorf("runtime: redrive %s: %w", id, err)
}

// RedriveLetters is Redrive of several letters, in their order, as they have been
// read from the store: with few calls of the store, if that is a deadletter.Ledger. It
// returns one error per letter. As many are given to a subscriber as it has room for;
// once it has refused one, the rest of its letters are refused, too.
func (rt *Runtime) RedriveLetters(ctx context.Context, letters []deadletter.Letter, cfg RedriveConfig) []error {
	errs := make([]error, len(letters))
	ways := make([]*wayBack, len(letters))
	fault := cfg.validate()
	seen := make(map[string]bool, len(letters))
	for i, l := range letters {
		switch {
		case fault != nil:
			errs[i] = fault
		case !rt.running():
			errs[i] = ErrClosed
		case seen[l.ID]:
			errs[i] = fmt.Errorf("%w: it is named twice", deadletter.ErrNotOpen)
		default:
			ways[i], errs[i] = rt.wayBack(l, &cfg)
		}
		seen[l.ID] = true
	}
	if !cfg.Rehearse {
		rt.beginRedrives(ctx, ways, errs)
	}
	full := map[[2]string]error{}
	for i, w := range ways {
		if errs[i] != nil {
			continue
		}
		err := full[w.to]
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = w.give(ctx)
		}
		if err != nil {
			if w.to[1] != "" && w.full(err) {
				full[w.to] = err
			}
			errs[i] = err
			rt.giveUpRedrive(ctx, w, err)
			continue
		}
		if w.errand != "" {
			continue // told where it is taken
		}
		actors.Notify(rt.obs.Redriven, Event{Topic: w.l.Topic, Subscriber: w.l.Subscriber, Sequence: w.l.Sequence, Reason: w.l.ID})
	}
	for i, err := range errs {
		if err != nil {
			errs[i] = redriveError(letters[i].ID, err)
		}
	}
	return errs
}

func (c RedriveConfig) validate() error {
	switch {
	case c.Budget < 0:
		return fmt.Errorf("RedriveConfig.Budget %d: must not be negative", c.Budget)
	case c.Rehearse && c.To.Topic != "" && c.To.Subscriber == "":
		return fmt.Errorf("RedriveConfig.To %s: a rehearsal needs a subscriber", c.To.Topic)
	}
	return nil
}

// RedriveRoom returns how many events the subscriber takes at this moment that the
// letter would be given to, and who that is; without a subscriber, for an event that
// would be published, it is a large number. Errors: [ErrUnknownTopic],
// [ErrUnknownSubscriber].
func (rt *Runtime) RedriveRoom(l deadletter.Letter, to Destination) (room int, at Destination, err error) {
	at = destination(l, to)
	room, err = rt.localRoom(at)
	if err != nil && rt.fleet != nil {
		by, fault := rt.fleet.servers(at)
		if fault != nil || len(by) > 0 {
			return rt.fleet.room(at), at, fault
		}
	}
	return room, at, err
}

// destination returns where a letter's event goes.
func destination(l deadletter.Letter, to Destination) Destination {
	if to == (Destination{}) {
		return Destination{cmp.Or(l.Pattern, l.Topic), l.Subscriber}
	}
	return Destination{cmp.Or(to.Topic, l.Topic), to.Subscriber}
}

// DecodeLetter returns the event of a letter as the destination would get it, to find
// out whether it can be decoded. Errors are those of Redrive.
func (rt *Runtime) DecodeLetter(l deadletter.Letter, to Destination) (event any, err error) {
	w := &wayBack{rt: rt, l: l, cfg: &RedriveConfig{To: to}, at: destination(l, to)}
	if l.PayloadError != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoPayload, l.PayloadError)
	}
	t, err := w.topic()
	if err != nil {
		if rt.fleet != nil {
			if by, _ := rt.fleet.servers(w.at); len(by) > 0 {
				return nil, fmt.Errorf("%w: %s", ErrElsewhere, by[0])
			}
		}
		return nil, err
	}
	w.back = redelivered(l, t.Name())
	return t.Decode(w.back)
}

func redelivered(l deadletter.Letter, topic string) Redelivered {
	return Redelivered{
		Topic:   topic,
		Payload: l.Payload, ContentType: l.ContentType, GoType: l.GoType, SchemaVersion: l.SchemaVersion,
		Sequence: l.Sequence, PublishedAt: l.PublishedAt, Headers: l.Headers, EventID: cmp.Or(l.EventID, l.ID),
	}
}

// beginRedrives marks, in the store, the letters that go back. Those for which that
// fails have an error then.
func (rt *Runtime) beginRedrives(ctx context.Context, ways []*wayBack, errs []error) {
	var ids []string
	var at []int
	byID := map[string]*wayBack{}
	for i, w := range ways {
		if errs[i] == nil {
			ids, at = append(ids, w.l.ID), append(at, i)
			byID[w.l.ID] = w
			rt.underWay.add(w)
		}
	}
	if len(ids) == 0 {
		return
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	begin := func(l *deadletter.Letter) (err error) {
		w := byID[l.ID]
		w.number, err = l.BeginRedriveFor(w.cfg.Operation, w.cfg.By, w.cfg.Budget, now)
		w.began = now
		if err == nil {
			r := &l.Redrives[len(l.Redrives)-1]
			if r.Errand = w.errand; w.errand == "" {
				r.Member = rt.Member()
			}
		}
		return err
	}
	var results []error
	if many, ok := rt.cfg.DeadLetters.(changer); ok && len(ids) > 1 {
		var err error
		if results, err = many.Change(ctx, ids, begin); len(results) != len(ids) {
			results = slices.Repeat([]error{err}, len(ids))
		}
	} else {
		for _, id := range ids {
			results = append(results, rt.cfg.DeadLetters.Update(ctx, id, begin))
		}
	}
	for k, err := range results {
		if err == nil {
			continue
		}
		w := ways[at[k]]
		var bad *deadletter.LetterError
		switch {
		case errors.Is(err, deadletter.ErrNotOpen), errors.Is(err, deadletter.ErrNotFound), errors.As(err, &bad):
			rt.underWay.remove(w)
		case w.number > 0: // it may be stored for all we know
			w.refused = true
			rt.letters.redriven(w, deadletter.OutcomeAborted, err.Error())
			err = fmt.Errorf("%w: %w", ErrStoreFailed, err)
		default:
			rt.underWay.remove(w)
			if ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", ErrStoreFailed, err)
			}
		}
		errs[at[k]] = err
	}
}

// changer is the part of a deadletter.Ledger that changes many letters at once.
type changer interface {
	Change(ctx context.Context, ids []string, fn func(*deadletter.Letter) error) ([]error, error)
}

// giveUpRedrive puts a letter back that was not given to anybody, for the time being.
func (rt *Runtime) giveUpRedrive(ctx context.Context, w *wayBack, err error) {
	w.refused = true
	if w.cfg.Rehearse {
		return
	}
	text := rt.redactText(&w.l, err.Error())
	aborted := w.outcome(deadletter.OutcomeAborted, text, time.Now())
	if rt.cfg.DeadLetters.Update(context.WithoutCancel(ctx), w.l.ID, aborted) != nil {
		rt.letters.redriven(w, deadletter.OutcomeAborted, text) // it will be written
		return
	}
	rt.underWay.remove(w)
}

// optional returns the configuration of a call that may come without one.
func optional[C any](cfg []C) (c C) {
	if len(cfg) > 0 {
		c = cfg[0]
	}
	return c
}
