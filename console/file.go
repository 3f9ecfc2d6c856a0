package console

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/troupe-go/troupe/ops"
)

// lines is the media type of exports: both formats have one JSON document a line.
const lines = "application/x-ndjson"

func (c *call) format() string {
	format := c.text("format")
	switch format {
	case "":
		format = ops.JSONLines
	case ops.JSONLines, ops.CloudEvents:
	default:
		c.wrong("format", quote(format)+" is not a format", "send "+ops.JSONLines+" or "+ops.CloudEvents)
	}
	return format
}

// trailer says how many letters an export has, so that a reader can tell a whole
// file from a part of one.
const trailer = "Troupe-Count"

func (c *call) export() error {
	format := c.format()
	scope := c.scope()
	if c.fault != nil {
		return c.fault
	}
	if err := c.mayScope(Payload, scope); err != nil {
		return err
	}
	by, err := c.by(ops.By{Name: c.text("by"), Why: c.text("why")})
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", lines)
	h.Set("Trailer", trailer)
	h.Set("Content-Disposition", `attachment; filename="letters.`+format+`"`)
	if c.r.Method == http.MethodHead {
		return nil
	}
	w := &patient{ctl: http.NewResponseController(c.w), w: c.w}
	n, err := c.desk.Export(c.r.Context(), by, w, scope, format)
	if err != nil {
		if !w.begun {
			h.Del("Trailer")
			h.Del("Content-Disposition")
			return err
		}
		// The status is on its way: only a broken connection tells the reader that
		// this is not all.
		panic(http.ErrAbortHandler)
	}
	h.Set(trailer, strconv.Itoa(n))
	return nil
}

// patient writes for as long as the reader takes something now and then, whatever
// the server's WriteTimeout.
type patient struct {
	ctl   *http.ResponseController
	w     http.ResponseWriter
	begun bool
}

const patience = 30 * time.Second

func (p *patient) Write(data []byte) (int, error) {
	p.begun = true
	_ = p.ctl.SetWriteDeadline(time.Now().Add(patience))
	return p.w.Write(data)
}

// importLetters reads a file of letters. What was read before a fault stays, and
// sending the file again leaves it out.
func (c *call) importLetters() error {
	format, file, err := c.file()
	if err != nil {
		return err
	}
	by, err := c.by(ops.By{Name: c.text("by"), Why: c.text("why")})
	if err != nil {
		return err
	}
	// Not ended by a broken connection between two letters: the reader will see it.
	ctx := context.WithoutCancel(c.r.Context())
	done, err := c.desk.Import(ctx, by, file, format)
	if err != nil {
		return err
	}
	return c.answer(done)
}

// previewImport reads a file of letters and says what an import of it would do. It
// needs the right to import: it tells which letters are there.
func (c *call) previewImport() error {
	format, file, err := c.file()
	if err != nil {
		return err
	}
	would, err := c.desk.PreviewImport(c.r.Context(), file, format)
	if err != nil {
		return err
	}
	return c.answer(would)
}

// file is the body of a request that brings letters.
func (c *call) file() (format string, body io.Reader, err error) {
	format = c.format()
	if c.fault != nil {
		return "", nil, c.fault
	}
	if err := checkType(c.r, lines); err != nil {
		return "", nil, err
	}
	if err := c.may(Mutate, AllTopics); err != nil {
		return "", nil, err
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{}) // the size is bounded, by MaxImport
	return format, http.MaxBytesReader(c.w, c.r.Body, c.cfg.MaxImport), nil
}
