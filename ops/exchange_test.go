package ops_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

func TestLettersGoFromOneDeskToAnother(t *testing.T) {
	for _, format := range []string{ops.JSONLines, ops.CloudEvents} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil, ops.Config{})
			w.fail(30)
			var file bytes.Buffer
			if n, err := w.desk.Export(t.Context(), ada, &file, ops.Scope{Query: "sub:billing"}, format); n != 30 || err != nil {
				t.Fatalf("Export = %d, %v, want 30", n, err)
			}
			laptop := newWorld(t, nil, ops.Config{})
			would, err := laptop.desk.PreviewImport(t.Context(), strings.NewReader("nonsense\n"+file.String()+file.String()), format)
			if err != nil || would.Added != 30 || would.Known != 30 || would.Faulty != 1 || !strings.HasPrefix(would.Faults[0], "line 1: ") {
				t.Errorf("PreviewImport = %+v, %v, want 30, 30 that come twice, and a fault", would, err)
			}
			if n, err := laptop.desk.Count(t.Context(), ops.Scope{Query: "*"}); n != 0 || err != nil {
				t.Errorf("after PreviewImport there are %d letters, %v", n, err)
			}
			im, err := laptop.desk.Import(t.Context(), ada, strings.NewReader(file.String()+"nonsense\n"), format)
			if err != nil || im.Added != 30 || im.Known != 0 || im.Faulty != 1 || !strings.HasPrefix(im.Faults[0], "line 31: ") {
				t.Errorf("Import = %+v, %v, want 30 and a fault", im, err)
			}
			if im, err = laptop.desk.Import(t.Context(), ada, &file, format); err != nil || im.Added != 0 || im.Known != 30 {
				t.Errorf("Import = %+v, %v, want 30 that are known", im, err)
			}
			laptop.does(ok)
			op := laptop.until(laptop.redrive(ops.Redrive{}).ID, deadletter.OperationDone)
			laptop.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 30})
			if l, err := laptop.desk.Letter(t.Context(), laptop.items(op.ID)[0].Letter); err != nil || l.ImportedFrom != "import by ada" {
				t.Errorf("letter is from %q, %v", l.ImportedFrom, err)
			}
			if all := laptop.audits(); len(all) != 3 || all[0].Action != "import" || all[0].Count != 30 {
				t.Errorf("audit = %+v, want both imports", all)
			}
			if all := w.audits(); len(all) != 1 || all[0].Action != "export" || all[0].Count != 30 || all[0].Query != "sub:billing" || all[0].By != "ada" || all[0].Object != format {
				t.Errorf("audit = %+v, want the export", all)
			}
			wantErr(t, "nobody", second(w.desk.Export(t.Context(), ops.By{}, &file, ops.Scope{Query: "*"}, format)), ops.ErrInvalid)
			wantErr(t, "a format", second(w.desk.PreviewImport(t.Context(), &file, "xml")), ops.ErrInvalid)
			wantErr(t, "a format", second(w.desk.Export(t.Context(), ada, &file, ops.Scope{Query: "*"}, "xml")), ops.ErrInvalid)
			wantErr(t, "a format", second(w.desk.Import(t.Context(), ada, &file, "xml")), ops.ErrInvalid)
			wantErr(t, "no letter", second(w.desk.Export(t.Context(), ada, &file, ops.Scope{IDs: []string{"x"}}, format)), deadletter.ErrNotFound)
			if all := w.audits(); len(all) != 5 || all[4].Error == "" || all[4].Query != "id:x" {
				t.Errorf("audit = %+v, want exports that broke off, too", all)
			}
			offline := ops.Offline(w.ledger)
			if n, err := offline.Export(t.Context(), ops.By{}, &file, ops.Scope{Query: "*"}, format); n != 30 || err != nil {
				t.Errorf("Export at a desk without a runtime = %d, %v, want 30", n, err)
			}
		})
	}
}
