package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// Summary is the result of a run, as -json prints it.
type Summary struct {
	Dir          string        `json:"dir"`
	Interrupted  bool          `json:"interrupted"`
	Seconds      float64       `json:"seconds"`
	Files        Files         `json:"files"`
	Declarations Declarations  `json:"declarations"`
	Imports      Imports       `json:"imports"`
	Notes        Notes         `json:"notes"`
	Retries      uint64        `json:"retries"`
	Restarts     uint64        `json:"restarts"`
	DeadLetters  []LetterGroup `json:"dead_letters"` // the largest group first
	Evicted      uint64        `json:"evicted"`      // older dead letters, counted but not kept
	Unreadable   []string      `json:"unreadable"`   // directories, with the reason
	Problems     []string      `json:"problems"`     // why the exit code is 1
}

// Files says what became of them: Found + Redriven = Parsed + DeadLettered + Dropped.
type Files struct {
	Found        int `json:"found"`
	Parsed       int `json:"parsed"`
	DeadLettered int `json:"dead_lettered"`
	Dropped      int `json:"dropped"` // 0, or something is wrong
	Skipped      int `json:"skipped"` // symbolic links and special files
	Redriven     int `json:"redriven,omitempty"`
}

// LetterGroup is the dead letters with one reason.
type LetterGroup struct {
	Reason  string   `json:"reason"`
	Letters []Letter `json:"letters"` // by file
}

// Letter is what a reader wants to know of a dead letter.
type Letter struct {
	File       string `json:"file"`
	Subscriber string `json:"subscriber"`
	Attempts   int    `json:"attempts"`
	Error      string `json:"error"`
}

// summary puts together what the walk, the accounts of the runtime and the
// collectors say, and checks that they agree.
func (p *pipeline) summary(w walk, parser actors.Counts, report runtime.Report) *Summary {
	imports, declarations, notes := p.imports.all(), p.declarations.all(), p.notes.all()
	f := Files{w.found, int(parser.Done), int(parser.DeadLettered), int(parser.TotalDropped()), w.skipped, int(parser.Redelivered)}
	var problems []string
	unless := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	unless(len(w.unreadable) == 0, "the index is incomplete: directories that could not be read: %d", len(w.unreadable))
	found := fmt.Sprintf("found %d", f.Found)
	if f.Redriven > 0 {
		found += fmt.Sprintf(", redriven %d", f.Redriven)
	}
	unless(f.Found+f.Redriven == f.Parsed+f.DeadLettered && f.Dropped == 0,
		"the figures do not add up: %s, parsed %d, dead letters %d, dropped %d", found, f.Parsed, f.DeadLettered, f.Dropped)
	complete := func(n int) bool { // a file that was edited and sent again may be there already
		return n == f.Parsed || f.Redriven > 0 && n <= f.Parsed && n > f.Parsed-f.Redriven
	}
	unless(complete(len(imports)) && complete(len(declarations)) && complete(len(notes)),
		"the index is incomplete: of %d parsed files imports has %d, declarations %d, notes %d", f.Parsed, len(imports), len(declarations), len(notes))
	unless(report.Clean, "%v", report.Err())
	return &Summary{
		Dir: p.dir, Files: f,
		Declarations: sumDeclarations(declarations), Imports: newImports(imports), Notes: newNotes(notes),
		Retries: report.Snapshot.Total.Retries, Restarts: report.Snapshot.Total.Restarts,
		Unreadable: append([]string{}, w.unreadable...), Problems: append([]string{}, problems...),
	}
}

// groups reads the dead letters from their store.
func groups(store deadletter.Store) ([]LetterGroup, error) {
	byReason := map[string][]Letter{}
	for l, err := range deadletter.All(context.Background(), store, deadletter.Query{}) {
		if err != nil {
			return nil, err
		}
		var event struct{ Path string }       // of a File or a Parsed
		_ = json.Unmarshal(l.Payload, &event) // a letter without payload still has its error
		byReason[l.Reason] = append(byReason[l.Reason], Letter{event.Path, l.Subscriber, l.AttemptCount, l.Error})
	}
	result := []LetterGroup{}
	for reason, letters := range byReason {
		slices.SortFunc(letters, func(a, b Letter) int { return cmp.Compare(a.File, b.File) })
		result = append(result, LetterGroup{reason, letters})
	}
	slices.SortFunc(result, func(a, b LetterGroup) int {
		return cmp.Or(cmp.Compare(len(b.Letters), len(a.Letters)), cmp.Compare(a.Reason, b.Reason))
	})
	return result, nil
}

func (s *Summary) json() []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		panic(err) // there is nothing in a Summary that cannot be encoded
	}
	return out.Bytes()
}
