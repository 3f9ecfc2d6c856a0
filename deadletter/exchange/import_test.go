package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/exchange"
)

func memory(t *testing.T, cfg deadletter.MemoryConfig) *deadletter.Memory {
	t.Helper()
	m, err := deadletter.NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestExportAndImport(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			from, to := memory(t, deadletter.MemoryConfig{}), memory(t, deadletter.MemoryConfig{})
			var letters []deadletter.Letter
			for n := range 700 {
				letters = append(letters, deadletter.Letter{ID: fmt.Sprintf("%04d", n), Topic: "t", Payload: fmt.Appendf(nil, `{"n":%d}`, n)})
			}
			letters[5].State = deadletter.StateDeleted
			if err := from.Add(ctx, letters); err != nil {
				t.Fatal(err)
			}
			if err := from.Update(ctx, "0007", func(l *deadletter.Letter) error { _, err := l.BeginRedrive("ada", 1, day); return err }); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if n, err := exchange.Export(ctx, from, deadletter.Query{}, &b, format); n != 699 || err != nil {
				t.Fatalf("Export = %d, %v, want all but the tombstone", n, err)
			}
			if err := to.Add(ctx, []deadletter.Letter{{ID: "0003", Error: "mine"}, {ID: "0300", Error: "mine"}}); err != nil {
				t.Fatal(err)
			}
			in := b.String() + b.String() + "{}\nnonsense\n"
			im, err := exchange.Import(ctx, to, strings.NewReader(in), format, "prod.jsonl")
			if err != nil || im.Added != 697 || im.Known != 2+699 || im.Faulty != 2 || len(im.Faults) != 2 || im.Faults[0].Line != 1399 {
				t.Fatalf("Import = %+v, %v, want 697 added, 701 known, 2 faulty", im, err)
			}
			l, err := to.Get(ctx, "0009")
			if err != nil || l.ImportedFrom != "prod.jsonl" || string(l.Payload) != `{"n":9}` {
				t.Errorf("an imported letter is %+v, %v", l, err)
			}
			if l, _ := to.Get(ctx, "0003"); l.Error != "mine" || l.ImportedFrom != "" {
				t.Errorf("a letter that was there has changed: %+v", l)
			}
			if l, _ := to.Get(ctx, "0007"); l.State != deadletter.StateOpen || l.Redrives[0].Outcome != deadletter.OutcomeInDoubt {
				t.Errorf("a letter that was being redriven is %s, %+v", l.State, l.Redrives)
			}
		})
	}
}

func TestImportLeavesOutWhatTheStoreRefuses(t *testing.T) {
	m := memory(t, deadletter.MemoryConfig{MaxBytes: 100_000})
	var letters []deadletter.Letter
	for n := range 20 {
		l := deadletter.Letter{ID: fmt.Sprintf("%02d", n)}
		if n%7 == 3 {
			l.Payload = make([]byte, 200_000)
		}
		letters = append(letters, l)
	}
	file := write(t, exchange.JSONLines, letters...)
	would, err := exchange.Preview(ctx, m, bytes.NewReader(file), exchange.JSONLines)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := m.List(ctx, deadletter.Query{}); err != nil || p.Total != 0 {
		t.Fatalf("after Preview there are %d letters, %v", p.Total, err)
	}
	im, err := exchange.Import(ctx, m, bytes.NewReader(file), exchange.JSONLines, "file")
	if err != nil || im.Added != 17 || im.Faulty != 3 {
		t.Fatalf("Import = %+v, %v, want 17 added and 3 faulty", im, err)
	}
	for i, f := range im.Faults {
		if f.Line != 4+7*i || !errors.Is(f, deadletter.ErrTooLarge) {
			t.Errorf("fault %d is %v, want ErrTooLarge in line %d", i, f, 4+7*i)
		}
	}
	if would.Added != im.Added || would.Faulty != im.Faulty || would.Faults[2].Line != im.Faults[2].Line {
		t.Errorf("Preview = %+v, Import = %+v", would, im)
	}
	if would, err := exchange.Preview(ctx, m, bytes.NewReader(file), exchange.JSONLines); err != nil || would.Added != 0 || would.Known != 17 || would.Faulty != 3 {
		t.Errorf("Preview of what is there = %+v, %v", would, err)
	}
}

func TestImportKeepsAHundredFaults(t *testing.T) {
	im, err := exchange.Import(ctx, memory(t, deadletter.MemoryConfig{}), strings.NewReader(strings.Repeat("x\n", 250)), exchange.JSONLines, "file")
	if err != nil || im.Faulty != 250 || len(im.Faults) != exchange.MaxFaults {
		t.Errorf("Import = %d faulty, %d faults, %v", im.Faulty, len(im.Faults), err)
	}
}

func TestImportEndsWithTheStoreAndWithCtx(t *testing.T) {
	in := write(t, exchange.JSONLines, deadletter.Letter{ID: "a"})
	m := memory(t, deadletter.MemoryConfig{})
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if im, err := exchange.Import(canceled, m, bytes.NewReader(in), exchange.JSONLines, "file"); !errors.Is(err, context.Canceled) || im.Added != 0 {
		t.Errorf("Import = %+v, %v, want Canceled", im, err)
	}
	if _, err := exchange.Import(ctx, m, bytes.NewReader(in), exchange.JSONLines, ""); err == nil || !strings.Contains(err.Error(), `from ""`) {
		t.Errorf("Import without from = %v", err)
	}
	if _, err := exchange.Import(ctx, m, bytes.NewReader(in), "xml", "file"); !errors.Is(err, exchange.ErrFormat) {
		t.Errorf("Import of an unknown format = %v", err)
	}
	m.Close()
	if _, err := exchange.Import(ctx, m, bytes.NewReader(in), exchange.JSONLines, "file"); !errors.Is(err, deadletter.ErrClosed) {
		t.Errorf("Import into a closed store = %v", err)
	}
	if _, err := exchange.Export(ctx, m, deadletter.Query{}, &bytes.Buffer{}, exchange.JSONLines); !errors.Is(err, deadletter.ErrClosed) {
		t.Errorf("Export of a closed store = %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, format := range formats {
		f.Add(write(f, format, deadletter.Letter{ID: "a", Error: "\xff", Payload: []byte("{}"), Headers: map[string]string{"\xff": "x"}}))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, format := range formats {
			for line, err := range exchange.Read(bytes.NewReader(in), format) {
				if err != nil {
					continue
				}
				if err := line.Letter.Validate(); err != nil {
					t.Fatalf("Read gives an invalid letter: %v", err)
				}
				w, _ := exchange.NewWriter(&bytes.Buffer{}, format)
				if err := w.Write(line.Letter); err != nil {
					t.Fatalf("what was read cannot be written: %v", err)
				}
			}
		}
	})
}
