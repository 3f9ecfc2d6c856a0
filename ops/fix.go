package ops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/supervisor"
)

// Fix is a registered repair of payloads.
type Fix struct {
	// Name is how people refer to it, About what it does.
	Name  string `json:"name"`
	About string `json:"about,omitempty"`
	// Do returns the payload that takes the place of the letter's, in the letter's
	// content type and schema version, or why this letter cannot be repaired. It may
	// be called several times for a letter, and at the same time for others. A panic
	// is an error.
	Do func(ctx context.Context, l deadletter.Letter) (payload []byte, err error) `json:"-"`
}

// maxSamples bounds PreviewFix.
const maxSamples = 100

// FixSample is what a fix makes of one letter.
type FixSample struct {
	Letter string     `json:"letter"`
	Diff   []DiffLine `json:"diff,omitempty"`
	Error  string     `json:"error,omitempty"`
}

// Fixes returns the registered fixes, in their order.
func (d *Desk) Fixes() []Fix { return slices.Clone(d.cfg.Fixes) }

// fixes returns the fix of that name, or nil.
func (d *Desk) fixes(name string) *Fix {
	for i := range d.cfg.Fixes {
		if d.cfg.Fixes[i].Name == name {
			return &d.cfg.Fixes[i]
		}
	}
	return nil
}

func (d *Desk) fixNames() []string {
	names := map[string]bool{}
	for _, f := range d.cfg.Fixes {
		names[f.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// run calls the function and survives it.
func (f *Fix) run(ctx context.Context, l deadletter.Letter) (payload []byte, err error) {
	type result struct {
		payload []byte
		err     error
	}
	out := make(chan result, 1)
	go func() {
		r := result{err: supervisor.ErrGoexit}
		defer func() { out <- r }()
		var done result
		if p := panics.Try(func() { done.payload, done.err = f.Do(ctx, l) }); p != nil {
			done.err = &supervisor.PanicError{Value: p.Value, Stack: string(p.Stack)}
		}
		r = done
	}()
	r := <-out
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("fix %s: %w", f.Name, r.err)
	case r.payload == nil:
		return nil, fmt.Errorf("fix %s: returned no payload", f.Name)
	}
	return r.payload, nil
}

// PreviewFix shows what a fix makes of up to n letters of the scope, 10 if n is 0. It
// changes nothing. A letter that the fix fails for, or whose payload does not decode
// then, has an Error.
//
// Errors: [ErrInvalid]; those of the ledger.
func (d *Desk) PreviewFix(ctx context.Context, name string, s Scope, n int) ([]FixSample, error) {
	fix := d.fixes(name)
	switch {
	case fix == nil:
		return nil, invalid("Fix %q: is not registered; there are %v", name, d.fixNames())
	case n < 0 || n > maxSamples:
		return nil, invalid("n %d: must be 0 to %d", n, maxSamples)
	case n == 0:
		n = 10
	}
	samples := []FixSample{}
	for l, err := range d.each(ctx, s, kindRedrive) {
		if err != nil {
			return nil, err
		}
		if len(samples) == n {
			break
		}
		samples = append(samples, d.sample(ctx, fix, l))
	}
	return samples, nil
}

func (d *Desk) sample(ctx context.Context, fix *Fix, l deadletter.Letter) FixSample {
	out := FixSample{Letter: l.ID}
	payload, err := fix.run(ctx, l.Clone())
	if err == nil {
		was := l.Payload
		l.Payload, l.PayloadError = payload, ""
		out.Diff = diff(was, payload)
		if d.rt != nil {
			_, err = d.rt.DecodeLetter(l, Target{}.destination())
		}
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

var errUnchanged = errors.New("changes nothing: redrive the letter instead")
