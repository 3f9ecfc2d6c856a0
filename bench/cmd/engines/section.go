package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/bench/internal/paper"
)

// section is what is written.
type section struct {
	head    bytes.Buffer
	faults  []string
	skipped []string
	body    bytes.Buffer
}

func (r *run) heading(chosen string) {
	s := &r.section
	fmt.Fprintf(&s.head, "# Engines\n\nWritten by `%s`; do not edit.\n\n", strings.Join(append([]string{"go run ./cmd/engines"}, os.Args[1:]...), " "))
	if r.quick {
		s.head.WriteString("**Quick run: it shows that everything works; do not compare its figures.**\n\n")
	}
	if chosen != "" {
		s.head.WriteString("**A part of the section only.**\n\n")
	}
	fmt.Fprintf(&s.head, "* Machine: %s\n* Commit: %s\n* Date: %s\n* Versions: %s\n", paper.Machine(), paper.Commit(), paper.Date(), r.versions())
	fmt.Fprintf(&s.head, "* Runs: %d of each figure that is compared, ours and theirs in turn, each in a process of its own. Figures are medians with (least–greatest).\n", r.reps)
	s.head.WriteString("* Ratios are medians of the ratios of neighboring runs, ours to theirs.\n" +
		"* Events have 128 bytes. Every figure stands for a run in which all of them arrived, and all were acknowledged.\n\n")
}

func (r *run) fault(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	r.say("FAILED: %s", text)
	r.section.faults = append(r.section.faults, text)
}

// skip says once what is left out.
func (r *run) skip(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(r.section.skipped, text) {
		return
	}
	r.say("SKIPPED: %s", text)
	r.section.skipped = append(r.section.skipped, text)
}

func (s *section) text(missing []part, took time.Duration) []byte {
	var b bytes.Buffer
	b.Write(s.head.Bytes())
	for _, f := range s.faults {
		fmt.Fprintf(&b, "**FAILED: %s**\n\n", f)
	}
	for _, what := range s.skipped {
		fmt.Fprintf(&b, "**SKIPPED: %s**\n\n", what)
	}
	if len(missing) > 0 {
		var names []string
		for _, p := range missing {
			names = append(names, p.name)
		}
		fmt.Fprintf(&b, "**NOT FINISHED: without %s**\n\n", strings.Join(names, ", "))
	}
	b.Write(s.body.Bytes())
	fmt.Fprintf(&b, "Took %v.\n", took.Round(time.Second))
	return b.Bytes()
}

func (s *section) line(format string, args ...any) { fmt.Fprintf(&s.body, format+"\n\n", args...) }

func (s *section) table(columns ...string) {
	s.row(columns...)
	s.row(slices.Repeat([]string{"---"}, len(columns))...)
}

func (s *section) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	fmt.Fprintf(&s.body, "| %s |\n", strings.Join(cells, " | "))
}

func (s *section) end() { s.body.WriteByte('\n') }
