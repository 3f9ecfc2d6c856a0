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
			if n, err := w.desk.Export(t.Context(), &file, ops.Scope{Query: "sub:billing"}, format); n != 30 || err != nil {
				t.Fatalf("Export = %d, %v, want 30", n, err)
			}
			laptop := newWorld(t, nil, ops.Config{})
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
			wantErr(t, "a format", second(w.desk.Export(t.Context(), &file, ops.Scope{Query: "*"}, "xml")), ops.ErrInvalid)
			wantErr(t, "a format", second(w.desk.Import(t.Context(), ada, &file, "xml")), ops.ErrInvalid)
			wantErr(t, "no letter", second(w.desk.Export(t.Context(), &file, ops.Scope{IDs: []string{"x"}}, format)), deadletter.ErrNotFound)
		})
	}
}
