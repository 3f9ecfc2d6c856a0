package topics

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrNoReply is returned to a requester when every subscriber has finished with the
// request and none has replied.
var ErrNoReply = actors.ErrNoReply

// Answer is what one subscriber has replied.
type Answer[Resp any] struct {
	Subscriber string
	Value      Resp
}

// Request publishes req and returns the first answer that a subscriber gives with
// [Reply] or [Respond]. What other subscribers answer later is dropped.
//
//	price, err := topics.Request[Price](ctx, quotes, Quote{Item: "tea"})
//
// ctx bounds acceptance and wait together. Once it has ended the request goes on as
// any other event, but nothing of an answer is kept.
//
// Errors: [ErrNoSubscriber] at once, whatever Config.Unrouted says; [ErrNoReply] when
// all have finished without an answer, joined with an [*OutcomeError] for each that
// has not handled the request; in it [ErrTypeMismatch] for one whose answer is not a
// Resp; the cause of ctx, with the names of those that are still busy; those of
// Publish. [ErrWouldDeadlock] for a handler that a subscriber of the topic, be it one of
// several, would have to wait for.
//
// meta, if given, is as in PublishWith. Price: some allocations, and a checkpoint of
// each subscriber for this event (BenchmarkRequest).
func Request[Resp, Req any](ctx context.Context, topic *Topic[Req], req Req, meta ...Meta) (Resp, error) {
	answers, err := ask[Resp](ctx, topic, req, true, meta)
	if len(answers) > 0 {
		return answers[0].Value, nil
	}
	return *new(Resp), err
}

// RequestAll is Request that waits until every subscriber has finished and returns
// all answers, in the order in which they came. A subscriber that handles the request
// without an answer, such as one that only logs, is no error.
//
// The error is nil if there is an answer and every subscriber has handled the request.
// Else there may be answers all the same: those that came before ctx ended, or beside
// subscribers that failed.
func RequestAll[Resp, Req any](ctx context.Context, topic *Topic[Req], req Req, meta ...Meta) ([]Answer[Resp], error) {
	return ask[Resp](ctx, topic, req, false, meta)
}

func ask[Resp, Req any](ctx context.Context, t *Topic[Req], req Req, first bool, meta []Meta) (answers []Answer[Resp], err error) {
	ticket := actors.NewRequest(t.rt.Actors(), first, func(v any) error {
		_, err := answer[Resp](t.name, v)
		return err
	})
	defer ticket.Close()
	if err := t.send(ctx, ticket, req, carried(ctx, meta)); err != nil {
		return nil, t.reject(err)
	}
	err = ticket.Wait(ctx)
	outcomes := Outcomes(ticket.Outcomes())
	for _, o := range outcomes {
		if v, ok := o.Reply(); ok {
			resp, _ := answer[Resp](t.name, v)
			answers = append(answers, Answer[Resp]{o.Subscriber, resp})
		}
	}
	switch failed := outcomes.Err(); {
	case err != nil:
		err = errors.Join(busy(ticket, err), failed)
	case len(answers) == 0:
		err = errors.Join(ErrNoReply, failed)
	default:
		err = failed
	}
	if err != nil {
		err = fmt.Errorf("topics: request %s: %w", t.name, err)
	}
	return answers, err
}

// answer returns v as a Resp. The error is a verdict: what a handler replies has the
// wrong type at the next attempt, too.
func answer[Resp any](topic string, v any) (Resp, error) {
	resp, ok := v.(Resp)
	want := reflect.TypeFor[Resp]()
	if ok || v == nil && want.Kind() == reflect.Interface {
		return resp, nil
	}
	return resp, supervisor.Permanent(replyTypeError(fmt.Sprintf("topics: reply to %s is %T, the request wants %v", topic, v, want)))
}

// replyTypeError matches ErrTypeMismatch, whose text is about topics.
type replyTypeError string

func (e replyTypeError) Error() string        { return string(e) }
func (e replyTypeError) Is(target error) bool { return target == ErrTypeMismatch }

// Reply answers the request that the handler of ctx has in hand, to be called before
// it returns. The answer goes out when the handler has succeeded: what an attempt
// replied that then fails is forgotten. Of several calls in one attempt the first
// counts. If nobody asked, or nobody waits any more, Reply does nothing and returns
// nil: a responder is a subscriber like any other, whose event may also have been
// published or redriven.
//
// Errors: actors.ErrNotInHandler; [ErrTypeMismatch], which the requester gets, too. A
// handler that returns it is not called again: the request becomes a dead letter.
func Reply(ctx context.Context, v any) error { return actors.Reply(ctx, v) }

// Respond subscribes a handler whose result is the answer to a request; see [Reply].
// An error is a failure as in Subscribe: the requester gets the answer of the attempt
// that succeeds, or the last error.
func Respond[Req, Resp any](topic *Topic[Req], name string, respond func(context.Context, Req) (Resp, error), cfg ...SubscriberConfig) (*Subscription, error) {
	if respond == nil {
		return nil, topic.subscribeError(name, errors.New("respond: must not be nil"))
	}
	return topic.Subscribe(name, func(ctx context.Context, req Req) error {
		resp, err := respond(ctx, req)
		if err != nil {
			return err
		}
		return Reply(ctx, resp)
	}, cfg...)
}
