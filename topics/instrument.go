package topics

import (
	"context"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// publishAround is Publish and PublishWith where something stands around them;
// see actors.Instrument. m's headers are its own.
func (t *Topic[T]) publishAround(ctx context.Context, ev T, m Meta) error {
	_, err := actors.Around(ctx, t.around, 1, m.Headers, func(ctx context.Context, headers map[string]string) (int, error) {
		m.Headers = headers
		if err := t.publishOne(ctx, ev, m); err != nil {
			return 0, err
		}
		return 1, nil
	})
	return err
}

// publishBatchAround is PublishBatch. Events that get headers on their way are
// published one by one.
func (t *Topic[T]) publishBatchAround(ctx context.Context, evs []T) (int, error) {
	return actors.Around(ctx, t.around, len(evs), nil, func(ctx context.Context, headers map[string]string) (int, error) {
		if len(headers) == 0 {
			return t.publishBatch(ctx, evs)
		}
		for n, ev := range evs {
			if err := t.publishOne(ctx, ev, Meta{Headers: headers}); err != nil {
				return n, err
			}
		}
		return len(evs), nil
	})
}

func (t *Topic[T]) publishOne(ctx context.Context, ev T, m Meta) error {
	if t.out != nil || len(m.Headers) > 0 || m.ID != "" || !m.PublishedAt.IsZero() {
		return t.publishMeta(ctx, ev, m)
	}
	if err := t.log.Append(ctx, ev); err != nil {
		return t.refused(ev, nil, err)
	}
	if t.accepted != nil {
		actors.Notify(t.accepted, runtime.Event{Topic: t.name})
	}
	return nil
}
