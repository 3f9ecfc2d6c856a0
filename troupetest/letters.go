package troupetest

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
)

// WantLetters waits until the runtime is idle and fails the test unless the dead
// letters are those, one for one and in any order. Fields of want that are zero
// match anything, so Letter{Subscriber: "billing", Reason: "permanent"} says
// what matters and no more. Without arguments it wants none.
func (r *Runtime) WantLetters(want ...deadletter.Letter) {
	r.t.Helper()
	r.Idle()
	if diff := letterDiff(r.Letters(), want); diff != "" {
		r.t.Errorf("troupetest: dead letters are not as wanted:\n%s", diff)
	}
}

// letterDiff says what is missing and what is too much; it is empty if the
// letters are as wanted.
func letterDiff(got, want []deadletter.Letter) string {
	of := match(got, want) // of[i] is the want that got[i] is, or -1
	met := make([]bool, len(want))
	for _, w := range of {
		if w >= 0 {
			met[w] = true
		}
	}
	var b strings.Builder
	var extra []deadletter.Letter
	for i, w := range of {
		if w < 0 {
			extra = append(extra, got[i])
		}
	}
	for w, ok := range met {
		if ok {
			continue
		}
		fmt.Fprintf(&b, "  missing  %s\n", describe(want[w]))
		if near, faults := nearest(extra, want[w]); faults != nil {
			fmt.Fprintf(&b, "           closest is %s, but\n", headline(near))
			for _, f := range faults {
				fmt.Fprintf(&b, "           %s\n", f)
			}
		}
	}
	for _, l := range extra {
		fmt.Fprintf(&b, "  unwanted %s\n", headline(l))
	}
	return b.String()
}

// match pairs letters and wants so that as many as possible have a partner: by
// augmenting paths, since a want may match several letters.
func match(got, want []deadletter.Letter) (of []int) {
	of = make([]int, len(got))
	for i := range of {
		of[i] = -1
	}
	var place func(w int, seen []bool) bool
	place = func(w int, seen []bool) bool {
		for i := range got {
			if seen[i] || len(differences(got[i], want[w])) > 0 {
				continue
			}
			seen[i] = true
			if of[i] < 0 || place(of[i], seen) {
				of[i] = w
				return true
			}
		}
		return false
	}
	for w := range want {
		place(w, make([]bool, len(got)))
	}
	return of
}

// differences names the fields in which got is not what want asks for.
func differences(got, want deadletter.Letter) (faults []string) {
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range w.NumField() {
		if f := w.Field(i); !f.IsZero() && !reflect.DeepEqual(g.Field(i).Interface(), f.Interface()) {
			faults = append(faults, fmt.Sprintf("%s = %s, want %s", w.Type().Field(i).Name, show(g.Field(i)), show(f)))
		}
	}
	return faults
}

// nearest returns the letter that differs from want in the fewest fields.
func nearest(letters []deadletter.Letter, want deadletter.Letter) (near deadletter.Letter, faults []string) {
	for _, l := range letters {
		if d := differences(l, want); faults == nil || len(d) < len(faults) {
			near, faults = l, d
		}
	}
	return near, faults
}

// describe renders the fields of a want that are set.
func describe(l deadletter.Letter) string {
	v := reflect.ValueOf(l)
	var parts []string
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			parts = append(parts, v.Type().Field(i).Name+": "+show(f))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// headline renders what tells one letter from another.
func headline(l deadletter.Letter) string {
	s := fmt.Sprintf("{%s/%s #%d, %s", l.Topic, l.Subscriber, l.Sequence, l.Reason)
	if l.Cause != "" {
		s += fmt.Sprintf(" after %d attempts, %s: %s", l.AttemptCount, l.Cause, l.Error)
	}
	return s + fmt.Sprintf(", %s, payload %s}", l.State, clip(string(l.Payload)))
}

func show(v reflect.Value) string {
	if b, ok := v.Interface().([]byte); ok {
		return fmt.Sprintf("%q", clip(string(b)))
	}
	return clip(fmt.Sprintf("%#v", v.Interface()))
}

func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
