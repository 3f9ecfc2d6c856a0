// Package ops is what an operator does with dead letters: see what fails, pause a
// subscriber, repair, send back in steps, and leave a record of it. The console
// and the command line do nothing but call it.
package ops

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// Config says how operations are done. The zero value works.
type Config struct {
	// Fixes are functions that repair payloads, by name.
	Fixes []Fix
	// Undo is how long a deleted letter can be restored. Zero means DefaultUndo.
	Undo time.Duration
	// Alerts, Rehearsals (subscribers that allow one) ... see the packages' parts.
}

// Desk does the operations of one runtime, or of a ledger alone when no runtime
// has it: then everything that would change something returns ErrReadOnly.
type Desk struct{}

// New makes the desk of a runtime, whose store has to be a deadletter.Ledger. It
// marks as in doubt what a process that ended had issued, and goes on with its
// operations.
func New(rt *runtime.Runtime, cfg Config) (*Desk, error) { panic("not built") }

// Offline makes a desk for looking only.
func Offline(ledger deadletter.Ledger) *Desk { panic("not built") }

// Close stops what runs, which a later desk goes on with.
func (d *Desk) Close(ctx context.Context) error { panic("not built") }

// By says who does something and why; it goes to the audit trail.
type By struct {
	Name string `json:"name"`
	Why  string `json:"why,omitempty"`
}

// Scope selects letters: exactly one of the three.
type Scope struct {
	IDs   []string `json:"ids,omitempty"`
	Group string   `json:"group,omitempty"`
	Query string   `json:"query,omitempty"` // "*" is all
}

// What is seen.

// Overview is the first page: what fails, since when, how it stands.
type Overview struct {
	Name        string                  `json:"name"`
	Node        string                  `json:"node"`
	At          time.Time               `json:"at"`
	Account     deadletter.Account      `json:"account"`
	Letters     runtime.LettersSnapshot `json:"letters"` // the dead-letter actor
	Faults      []runtime.Fault         `json:"faults"`
	Groups      []deadletter.Group      `json:"groups"` // the ten with the latest failure that have open letters
	GroupsTotal int                     `json:"groups_total"`
	Running     []deadletter.Operation  `json:"running"`
}

func (d *Desk) Overview(ctx context.Context) (Overview, error) { panic("") }
func (d *Desk) Tree() (runtime.Description, error)             { panic("") }
func (d *Desk) Groups(ctx context.Context, query string, q deadletter.GroupQuery) (deadletter.GroupPage, error) {
	panic("")
}
func (d *Desk) Group(ctx context.Context, fingerprint string) (deadletter.Group, error) { panic("") }
func (d *Desk) Letters(ctx context.Context, query, after string, limit int) (deadletter.Page, error) {
	panic("")
}
func (d *Desk) Letter(ctx context.Context, id string) (deadletter.Letter, error) { panic("") }
func (d *Desk) Timeline(ctx context.Context, query string, from, until time.Time, spans int) ([]deadletter.Span, error) {
	panic("")
}
func (d *Desk) Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error) {
	panic("")
}
func (d *Desk) Operation(ctx context.Context, id string) (Operation, error) { panic("") }
func (d *Desk) Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error) {
	panic("")
}
func (d *Desk) Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error) {
	panic("")
}
func (d *Desk) Verify(ctx context.Context) (deadletter.Account, error) { panic("") }

// Watch gives what happens from now on, or since the event with that number if it
// is still known; Lost counts what is not known any more or came too fast.
func (d *Desk) Watch(ctx context.Context, since uint64) iter.Seq[Event] { panic("") }

// Event is one thing that happened.
type Event struct {
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // letter, resolved, group, operation, subscriber, audit, lost
	Object string    `json:"object,omitempty"`
	Topic  string    `json:"topic,omitempty"`
	Text   string    `json:"text,omitempty"`
	Lost   uint64    `json:"lost,omitempty"`
}

// Complete suggests what may follow in a query whose cursor is at that byte.
func (d *Desk) Complete(ctx context.Context, query string, at int) ([]string, error) { panic("") }

// What is done.

// Redrive is the plan of a redrive.
type Redrive struct {
	Scope Scope `json:"scope"`
	// To is another subscriber or topic; zero is the subscriber that failed.
	To Target `json:"to,omitzero"`
	// Budget is the number of attempts, 0 those of the retry policy.
	Budget int `json:"budget"`
	// Rate is letters per second, 0 as fast as the mailbox has room.
	Rate float64 `json:"rate,omitempty"`
	// Steps are the parts, in percent of all, after which it waits for outcomes,
	// such as 1, 5, 20, 100. None is 100.
	Steps []float64 `json:"steps,omitempty"`
	// MaxFailures stops it when more than that part, in percent, of what has an
	// outcome in the current step has failed. Zero means DefaultMaxFailures with Steps, never
	// without; see NeverStop.
	MaxFailures float64 `json:"max_failures,omitempty"`
	// Fix repairs each payload first.
	Fix string `json:"fix,omitempty"`
	// Rehearse calls the handler without settling the letter, if the subscriber
	// allows it.
	Rehearse bool `json:"rehearse,omitempty"`
}

// Target is where events go.
type Target struct {
	Topic      string `json:"topic,omitempty"`
	Subscriber string `json:"subscriber,omitempty"` // empty: all of the topic
}

// Preview is what a redrive would do.
type Preview struct {
	Total       int            `json:"total"`
	Open        int            `json:"open"` // others are left alone
	Subscribers []PreviewCount `json:"subscribers"`
	Gone        int            `json:"gone"`     // their subscriber is not there
	Redriven    map[int]int    `json:"redriven"` // how often already → letters
	Undecodable int            `json:"undecodable"`
	Examples    []PreviewFault `json:"examples,omitempty"`    // of those that would be left
	Budget      string         `json:"budget"`                // in words
	Estimate    time.Duration  `json:"estimate_ns,omitempty"` // at the rate
}

// PreviewCount counts the letters of a subscriber.
type PreviewCount struct {
	Topic, Subscriber string
	Count             int
	State             string // of the subscriber, or gone
}

// PreviewFault is a letter that would be left, and why.
type PreviewFault struct {
	Letter, Why string
}

// Operation is an operation with what can be told of its progress.
type Operation struct {
	deadletter.Operation
	Plan Redrive       `json:"plan,omitzero"`
	Step int           `json:"step,omitempty"` // of Plan.Steps, from 1
	Rate float64       `json:"rate,omitempty"` // as it is, letters per second
	ETA  time.Duration `json:"eta_ns,omitempty"`
}

func (d *Desk) Preview(ctx context.Context, r Redrive) (Preview, error)                  { panic("") }
func (d *Desk) Redrive(ctx context.Context, by By, r Redrive) (Operation, error)         { panic("") }
func (d *Desk) PauseOperation(ctx context.Context, by By, id string) (Operation, error)  { panic("") }
func (d *Desk) ResumeOperation(ctx context.Context, by By, id string) (Operation, error) { panic("") }
func (d *Desk) CancelOperation(ctx context.Context, by By, id string) (Operation, error) { panic("") }
func (d *Desk) SetRate(ctx context.Context, by By, id string, perSecond float64) (Operation, error) {
	panic("")
}

// Change is archive, restore, delete, snooze or resolve, of many letters.
type Change struct {
	Kind  string    `json:"kind"`
	Scope Scope     `json:"scope"`
	Until time.Time `json:"until,omitzero"` // of a snooze
	// Confirm is the number of letters as the operator has seen it. A delete is
	// refused if there are others by now.
	Confirm *int `json:"confirm,omitempty"`
}

func (d *Desk) Count(ctx context.Context, s Scope) (int, error)                { panic("") }
func (d *Desk) Change(ctx context.Context, by By, c Change) (Operation, error) { panic("") }

// Edit is an event to send in place of a letter's.
type Edit struct {
	Payload json.RawMessage   `json:"payload,omitempty"` // nil: as it is
	Raw     []byte            `json:"raw,omitempty"`     // of another content type
	Headers map[string]string `json:"headers,omitempty"` // nil: as they are
	To      Target            `json:"to,omitzero"`
	Budget  int               `json:"budget"`
}

// Edited says what an edit did, or would do.
type Edited struct {
	EventID string     `json:"event_id,omitempty"`
	Diff    []DiffLine `json:"diff"`
}

// DiffLine is a place where two JSON documents differ.
type DiffLine struct {
	Path string `json:"path"`
	Old  string `json:"old,omitempty"` // JSON, empty if added
	New  string `json:"new,omitempty"` // JSON, empty if removed
}

func (d *Desk) PreviewEdit(ctx context.Context, id string, e Edit) (Edited, error) { panic("") }
func (d *Desk) Edit(ctx context.Context, by By, id string, e Edit) (Edited, error) { panic("") }

// Fix is a registered repair of payloads.
type Fix struct {
	Name, About string
	Do          func(ctx context.Context, l deadletter.Letter) (payload []byte, err error)
}

// FixSample is what a fix makes of one letter.
type FixSample struct {
	Letter string     `json:"letter"`
	Diff   []DiffLine `json:"diff,omitempty"`
	Error  string     `json:"error,omitempty"`
}

func (d *Desk) Fixes() []Fix { panic("") }
func (d *Desk) PreviewFix(ctx context.Context, name string, s Scope, n int) ([]FixSample, error) {
	panic("")
}

// GroupChange changes what is set.
type GroupChange struct {
	Note, Owner  *string
	Acknowledged *bool
}

func (d *Desk) ChangeGroup(ctx context.Context, by By, fingerprint string, c GroupChange) (deadletter.Group, error) {
	panic("")
}

func (d *Desk) PauseSubscriber(ctx context.Context, by By, topic, subscriber string) error { panic("") }
func (d *Desk) ResumeSubscriber(ctx context.Context, by By, topic, subscriber string) error {
	panic("")
}
func (d *Desk) RestartSubscriber(ctx context.Context, by By, topic, subscriber string) error {
	panic("")
}

// Formats of Export and Import.
const (
	JSONLines   = "jsonl"
	CloudEvents = "cloudevents"
)

func (d *Desk) Export(ctx context.Context, w io.Writer, s Scope, format string) (int, error) {
	panic("")
}
func (d *Desk) Import(ctx context.Context, by By, r io.Reader, format string) (Imported, error) {
	panic("")
}

// Imported says what an import did.
type Imported struct {
	Added  int      `json:"added"`
	Known  int      `json:"known"` // were there already
	Faults []string `json:"faults,omitempty"`
}

// GoTest returns a Go test that gives the letter's event to a handler.
func (d *Desk) GoTest(ctx context.Context, id string) (string, error) { panic("") }
