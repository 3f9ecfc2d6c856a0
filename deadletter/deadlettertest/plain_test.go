package deadlettertest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// plain is the simplest store there is, a slice under a mutex, with a bug of
// one's choice. Without a bug it passes the suite: what the suite asks for is
// not taken from the memory store.
type plain struct {
	bug string

	mu      sync.Mutex
	letters []deadletter.Letter // in the order in which they came
	were    []deadletter.Letter // the same, before any update
	changed func(l deadletter.Letter, is string)
	closed  bool
}

func (s *plain) has(bug string) bool { return s.bug == bug }

// begin locks the store; ignore names the bug of not looking at ctx.
func (s *plain) begin(ctx context.Context, ignore string) error {
	if err := ctx.Err(); err != nil && !s.has(ignore) {
		return err
	}
	s.mu.Lock()
	if s.closed && !s.has("works after Close") {
		s.mu.Unlock()
		return deadletter.ErrClosed
	}
	return nil
}

func (s *plain) find(id string) int {
	return slices.IndexFunc(s.letters, func(l deadletter.Letter) bool { return l.ID == id })
}

// in copies a letter on its way in, out on its way out.
func (s *plain) in(l deadletter.Letter) deadletter.Letter {
	n := l.Normalize()
	if field, ok := strings.CutPrefix(s.bug, "forgets "); ok {
		v := reflect.ValueOf(&n).Elem().FieldByName(field)
		v.SetZero()
		if field == "State" {
			n.State = deadletter.StateOpen
		}
	}
	switch s.bug {
	case "shares the payload on the way in":
		n.Payload = l.Payload
	case "shares the headers on the way in":
		n.Headers = l.Headers
	case "shares the attempts on the way in":
		n.Attempts = l.Attempts
	case "shares the closing on the way in":
		n.Closed = l.Closed
	case "keeps letters without a fingerprint":
		n.Fingerprint = l.Fingerprint
	case "keeps the zone of a closing":
		if n.Closed != nil {
			n.Closed.At = l.Closed.At
		}
	case "keeps the last closing only":
		if n.Closed != nil {
			n.Closed.Before = nil
		}
	case "keeps an empty state":
		n.State = l.State
	case "keeps milliseconds":
		n.LastFailedAt = n.LastFailedAt.Truncate(time.Millisecond)
	case "keeps the zone":
		n.FirstFailedAt = l.FirstFailedAt
	case "keeps the zone of a redrive":
		if len(l.Redrives) > 0 {
			n.Redrives[0].EndedAt = l.Redrives[0].EndedAt
		}
	case "keeps the payload as text":
		n.Payload = []byte(strings.ToValidUTF8(string(n.Payload), "?"))
	case "cuts payloads at 64 KiB":
		n.Payload = n.Payload[:min(len(n.Payload), 64<<10)]
	case "trims text":
		n.Error = strings.TrimSpace(n.Error)
	case "ends text at zero bytes":
		n.Error, _, _ = strings.Cut(n.Error, "\x00")
	case "keeps sequences as float64":
		n.Sequence = uint64(float64(n.Sequence) / 2)
	case "keeps attempts as JSON without redrive":
		var as []deadletter.Attempt
		b, _ := json.Marshal(n.Attempts)
		_ = json.Unmarshal([]byte(strings.ReplaceAll(string(b), `"redrive"`, `"x"`)), &as)
		n.Attempts = as
	}
	return n
}

func (s *plain) out(l deadletter.Letter, how string) deadletter.Letter {
	c := l.Clone()
	switch s.bug {
	case how + " shares the letter":
		return l
	case how + " shares the headers":
		c.Headers = l.Headers
	case how + " shares the error types":
		c.ErrorTypes = l.ErrorTypes
	case how + " shares the redrives":
		c.Redrives = l.Redrives
	case how + " shares the closing":
		c.Closed = l.Closed
	}
	return c
}

func (s *plain) Add(ctx context.Context, letters []deadletter.Letter) error {
	if s.has("Add of nothing ignores ctx") && len(letters) == 0 {
		return nil
	}
	if err := s.begin(ctx, "Add ignores ctx"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.has("Add of nothing fails") && len(letters) == 0 {
		return errors.New("nothing to add")
	}
	before := slices.Clone(s.letters)
	for i, l := range letters {
		err := l.Validate()
		if l.ID == "" && s.has("Add takes an empty ID") || l.ID != "" && s.has("Add takes an unknown state") {
			err = nil
		}
		if err != nil {
			if !s.has("Add keeps what came before the fault") {
				s.letters = before
			}
			if s.has("Add does not say which letter") {
				return err
			}
			if s.has("Add names the wrong letter") {
				i = 0
			}
			return &deadletter.LetterError{Index: i, ID: l.ID, Err: err}
		}
		at := s.find(l.ID)
		switch {
		case at < 0 || s.has("Add stores twice"):
			s.letters = append(s.letters, s.in(l))
			s.were = append(s.were, s.in(l))
			s.note(s.in(l), "added")
		case s.has("Add replaces"):
			s.letters[at] = s.in(l)
		case s.has("Add replaces within a batch") && at >= len(before):
			s.letters[at] = s.in(l)
		case s.has("Add refuses what is there"):
			s.letters = before
			return errors.New("already there")
		case s.has("Add gives up at what is there"):
			return nil
		}
	}
	return nil
}

func (s *plain) Get(ctx context.Context, id string) (deadletter.Letter, error) {
	if err := s.begin(ctx, "Get ignores ctx"); err != nil {
		return deadletter.Letter{}, err
	}
	defer s.mu.Unlock()
	at := s.find(id)
	if s.has("Get finds by prefix") {
		at = slices.IndexFunc(s.letters, func(l deadletter.Letter) bool { return strings.HasPrefix(l.ID, id) })
	}
	if s.has("Get folds case") {
		at = slices.IndexFunc(s.letters, func(l deadletter.Letter) bool { return strings.EqualFold(l.ID, id) })
	}
	if at < 0 {
		switch s.bug {
		case "Get of nothing succeeds":
			return deadletter.Letter{}, nil
		case "Get has an error of its own":
			return deadletter.Letter{}, errors.New("not found")
		}
		return deadletter.Letter{}, deadletter.ErrNotFound
	}
	return s.out(s.letters[at], "Get"), nil
}

func (s *plain) matches(q deadletter.Query, l *deadletter.Letter) bool {
	like := func(pattern, text string) bool { return pattern == "" || pattern == text }
	switch s.bug {
	case "List folds case":
		like = func(pattern, text string) bool { return pattern == "" || strings.EqualFold(pattern, text) }
	case "List filters by prefix":
		like = func(pattern, text string) bool { return strings.HasPrefix(text, pattern) }
	case "List knows wildcards":
		like = func(pattern, text string) bool {
			p, wild := strings.CutSuffix(pattern, "*")
			return pattern == "" || pattern == text || wild && strings.HasPrefix(text, p)
		}
	case "List ignores trailing blanks":
		like = func(pattern, text string) bool {
			return pattern == "" || strings.TrimRight(pattern, " ") == strings.TrimRight(text, " ")
		}
	case "List ignores Topic":
		q.Topic = ""
	case "List ignores Subscriber":
		q.Subscriber = ""
	case "List ignores Reason":
		q.Reason = ""
	case "List ignores Fingerprint":
		q.Fingerprint = ""
	case "List ignores State":
		q.State = ""
	case "List takes any of the filters":
		return q == deadletter.Query{} || q.Topic != "" && q.Topic == l.Topic || q.Subscriber != "" && q.Subscriber == l.Subscriber ||
			q.Reason != "" && q.Reason == l.Reason || q.Fingerprint != "" && q.Fingerprint == l.Fingerprint || q.State != "" && q.State == l.State
	}
	if !s.matchesWhere(q, l) {
		return false
	}
	return like(q.Topic, l.Topic) && like(q.Subscriber, l.Subscriber) && like(q.Reason, l.Reason) &&
		like(q.Fingerprint, l.Fingerprint) && like(string(q.State), string(l.State))
}

func (s *plain) matchesWhere(q deadletter.Query, l *deadletter.Letter) bool {
	if q.Now.IsZero() || s.has("searches as of the call") {
		q.Now = time.Now()
	}
	e := evaluator{now: q.Now, bug: s.bug}
	asks := q.State == deadletter.StateDeleted || q.State == "" && e.asks(q.Where.Root, false)
	switch {
	case l.State == deadletter.StateDeleted && !asks && !s.has("List shows tombstones"):
		return false
	case l.State == deadletter.StateArchived && q.State == "" && s.has("List hides what is archived"):
		return false
	case s.has("List ignores Where"):
		return true
	case s.has("searches for what letters were"):
		for i := range s.were {
			if s.were[i].ID == l.ID {
				l = &s.were[i]
				break
			}
		}
	}
	return e.holds(q.Where.Root, l)
}

func (s *plain) List(ctx context.Context, q deadletter.Query) (deadletter.Page, error) {
	if err := s.begin(ctx, "List ignores ctx"); err != nil {
		return deadletter.Page{}, err
	}
	defer s.mu.Unlock()
	if err := q.Validate(); err != nil {
		switch {
		case s.has("List clamps the limit"):
			q.Limit = min(max(q.Limit, 0), deadletter.MaxLimit)
		case s.has("List takes any state") && q.State != "":
		case s.has("List takes any expression") && q.Where.Root != nil:
			return deadletter.Page{}, nil
		case s.has("List has an error of its own"):
			return deadletter.Page{}, errors.New("bad query")
		default:
			return deadletter.Page{}, err
		}
	}
	limit := q.Limit
	switch {
	case limit == 0 && s.has("List has another default"):
		limit = 100
	case limit == 0:
		limit = deadletter.DefaultLimit
	case s.has("List cuts large pages"):
		limit = min(limit, 500)
	}
	after := q.After
	q.After, q.Limit = "", 0

	var hits []deadletter.Letter
	for i := range s.letters {
		if s.matches(q, &s.letters[i]) {
			hits = append(hits, s.letters[i])
		}
	}
	newest := func(a, b deadletter.Letter) int { return strings.Compare(b.ID, a.ID) }
	switch s.bug {
	case "List is oldest first":
		newest = func(a, b deadletter.Letter) int { return strings.Compare(a.ID, b.ID) }
	case "List is in order of arrival":
		slices.Reverse(hits)
		newest = nil
	case "List is by last failure":
		newest = func(a, b deadletter.Letter) int {
			return cmp.Or(b.LastFailedAt.Compare(a.LastFailedAt), strings.Compare(b.ID, a.ID))
		}
	case "List orders without case":
		newest = func(a, b deadletter.Letter) int {
			return cmp.Or(strings.Compare(strings.ToLower(b.ID), strings.ToLower(a.ID)), strings.Compare(b.ID, a.ID))
		}
	}
	if newest != nil {
		slices.SortStableFunc(hits, newest)
	}
	p := deadletter.Page{Total: len(hits)}
	if s.has("Total counts all letters") {
		p.Total = len(s.letters)
	}

	rest := hits
	switch {
	case after == "":
	case s.has("pages by offset"):
		n, _ := strconv.Atoi(after)
		rest = hits[min(n, len(hits)):]
	case s.has("needs the letter of the cursor"):
		rest = hits[slices.IndexFunc(hits, func(l deadletter.Letter) bool { return l.ID == after })+1:]
	case s.has("repeats the letter of the cursor"):
		rest = slices.DeleteFunc(slices.Clone(hits), func(l deadletter.Letter) bool { return l.ID > after })
	default:
		rest = slices.DeleteFunc(slices.Clone(hits), func(l deadletter.Letter) bool { return newestIs(newest, l.ID, after) })
	}
	if s.has("Total counts the rest") {
		p.Total = len(rest)
	}
	full := len(rest) > limit || len(rest) == limit && s.has("the last page has a Next if it is full")
	if s.has("skips a letter between pages") && len(rest) > limit+1 {
		rest = append(slices.Clone(rest[:limit-1]), rest[limit:]...)
	}
	rest = rest[:min(len(rest), limit)]
	if full {
		p.Next = rest[len(rest)-1].ID
		if s.has("pages by offset") {
			n, _ := strconv.Atoi(after)
			p.Next = strconv.Itoa(n + limit)
		}
	}
	if s.has("never has a Next") {
		p.Next = ""
	}
	if s.has("the Next never changes") && after != "" && full {
		p.Next = after
	}
	if s.has("Total counts the page") {
		p.Total = len(rest)
	}
	if q.Quick && s.has("a quick total is a guess") {
		p.Total, p.Partial = p.Total+1, true
	}
	if q.Quick && s.has("a quick page is short") && len(rest) > 1 {
		rest = rest[:1]
	}
	for _, l := range rest {
		p.Letters = append(p.Letters, s.out(l, "List"))
	}
	return p, nil
}

// newestIs reports whether the letter comes before or at the cursor.
func newestIs(order func(a, b deadletter.Letter) int, id, after string) bool {
	if order == nil {
		return id >= after
	}
	return order(deadletter.Letter{ID: id}, deadletter.Letter{ID: after}) <= 0
}

func (s *plain) Update(ctx context.Context, id string, fn func(*deadletter.Letter) error) error {
	if err := s.begin(ctx, "Update ignores ctx"); err != nil {
		return err
	}
	locked := true
	defer func() {
		if locked {
			s.mu.Unlock()
		}
	}()
	at := s.find(id)
	if at < 0 {
		switch s.bug {
		case "Update of nothing succeeds":
			return nil
		case "Update makes a letter":
			l := deadletter.Letter{ID: id}
			_ = fn(&l)
			s.letters = append(s.letters, l)
			return deadletter.ErrNotFound
		}
		return deadletter.ErrNotFound
	}
	l := s.letters[at].Clone()
	switch s.bug {
	case "Update works on the letter itself":
		return fn(&s.letters[at])
	case "Update gives a shallow copy":
		l = s.letters[at]
	case "Update calls fn twice":
		tmp := l.Clone()
		_ = fn(&tmp)
	case "Update does not hold the lock", "Update brings letters back":
		s.mu.Unlock()
		locked = false
	case "Update keeps the lock at a panic":
		locked = false
		if err := fn(&l); err != nil {
			s.mu.Unlock()
			return err
		}
		locked = true
		s.letters[at] = s.in(l)
		return nil
	case "Update writes at a panic":
		defer func() {
			if v := recover(); v != nil {
				s.letters[at] = s.in(l)
				panic(v)
			}
		}()
	case "Update swallows a panic":
		defer func() { _ = recover() }()
	case "Update writes in two steps":
		if err := fn(&l); err != nil {
			return err
		}
		n := s.in(l)
		s.letters[at].AttemptCount, s.letters[at].State, s.letters[at].Error = n.AttemptCount, n.State, n.Error
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
		if at := s.find(id); at >= 0 {
			s.letters[at] = n
		}
		return nil
	}
	err := fn(&l)
	if err != nil && !s.has("Update writes in spite of an error") {
		if s.has("Update hides fn's error") {
			return fmt.Errorf("update: %v", err)
		}
		return err
	}
	if verr := l.Validate(); verr != nil || l.ID != id {
		if verr == nil {
			verr = deadletter.ErrInvalidLetter
		}
		switch {
		case s.has("Update takes another ID") && l.ID != "" && l.ID != id:
		case s.has("Update takes an unknown state") && l.ID == id:
		case s.has("Update does not say which letter"):
			return verr
		default:
			return &deadletter.LetterError{ID: id, Err: verr}
		}
	}
	if !locked {
		s.mu.Lock()
		locked = true
		if at = s.find(id); at < 0 {
			if s.has("Update brings letters back") {
				s.letters = append(s.letters, s.in(l))
				return nil
			}
			return deadletter.ErrNotFound
		}
	}
	n := s.in(l)
	switch s.bug {
	case "Update keeps what fn made":
		n = l
	case "Update writes to the neighbor":
		at = max(at-1, 0)
	case "Update writes the state only":
		n = s.letters[at].Clone()
		n.State = l.State
	case "Update moves the letter's topic not":
		n.Topic = s.letters[at].Topic
	case "Update takes no letter out of open":
		if s.letters[at].State == deadletter.StateOpen {
			s.letters = append(s.letters, s.letters[at])
		}
	}
	s.letters[at] = n
	s.note(n, "updated")
	return err
}

// note tells what is built on the store of a change.
func (s *plain) note(l deadletter.Letter, is string) {
	if s.changed != nil {
		s.changed(l, is)
	}
}

func (s *plain) Delete(ctx context.Context, ids ...string) (int, error) {
	if err := s.begin(ctx, "Delete ignores ctx"); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	n := 0
	for _, id := range ids {
		at := s.find(id)
		switch {
		case at >= 0 && s.has("Delete only counts"):
			n++
		case at >= 0 && s.has("Delete takes the neighbor too"):
			s.letters = slices.Delete(s.letters, at, min(at+2, len(s.letters)))
			n++
		case at >= 0:
			s.note(s.letters[at], "deleted")
			s.letters = slices.Delete(s.letters, at, at+1)
			n++
			if s.has("Delete of a letter keeps its ID") {
				s.letters = append(s.letters, deadletter.Letter{ID: id})
				n = max(n, 1)
			}
		case s.has("Delete counts what it was asked for"):
			n++
		case s.has("Delete fails at unknown letters"):
			return n, deadletter.ErrNotFound
		}
	}
	return n, nil
}

func (s *plain) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && s.has("Close fails the second time") {
		return deadletter.ErrClosed
	}
	s.closed = true
	return nil
}
