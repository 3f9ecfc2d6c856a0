package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/troupe-go/troupe/engine"
)

// An entry of a stream has one field of ours, since each field costs the server and both
// sides of the wire as much as an event does. Its value is what a message of Pub/Sub is,
// too: a first line that says so, a line for each header, an empty one, and the data.
const (
	fieldEvent = "e"
	fieldData  = "data" // of others
	magic      = "troupe/1\n"
)

// Message is what engine.Delivery.Message is: where the record is in Redis.
type Message struct {
	// Stream is the key of the stream, and ID that of the entry. Of Pub/Sub Stream is
	// the channel, and ID is empty.
	Stream, ID string

	hold *hold
}

// seal makes a record a message. It copies the record: a call whose context has ended
// goes on without its caller.
func seal(e engine.Envelope, r *engine.Record, limit int) ([]byte, error) {
	if n := r.Size(); n > limit {
		return nil, fmt.Errorf("%w: %d bytes where Config.MaxRecord is %d", engine.ErrTooLarge, n, limit)
	}
	buf := make([]byte, 0, 256+len(r.Data))
	buf = append(buf, magic...)
	var fault error
	body, err := e.Seal(r, func(name, value string) {
		if name == "" || strings.IndexByte(name, ':') >= 0 || strings.IndexByte(name, '\n') >= 0 {
			fault = fmt.Errorf("header %q: must have a name without colon and newline", name)
			return
		}
		buf = appendHeader(buf, name, value)
	})
	if err = errors.Join(err, fault); err != nil {
		return nil, err
	}
	return append(append(buf, '\n'), body...), nil
}

// appendHeader adds a line. A value that would not be one, or look like one that is
// quoted, is quoted as in Go.
func appendHeader(buf []byte, name, value string) []byte {
	buf = append(append(buf, name...), ": "...)
	if strings.HasPrefix(value, `"`) || strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		buf = strconv.AppendQuote(buf, value)
	} else {
		buf = append(buf, value...)
	}
	return append(buf, '\n')
}

// split parts a message into its headers and its data. One that is not ours has data only.
func split(message string) (block, data string) {
	rest, ours := strings.CutPrefix(message, magic)
	if !ours {
		return "", message
	}
	if data, none := strings.CutPrefix(rest, "\n"); none {
		return "", data
	}
	block, data, _ = strings.Cut(rest, "\n\n")
	return block, data
}

// headers yields what appendHeader has written. A line that is none of ours is left out.
func headers(block string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for len(block) > 0 {
			var line string
			line, block, _ = strings.Cut(block, "\n")
			name, value, found := strings.Cut(line, ": ")
			if !found {
				continue
			}
			if strings.HasPrefix(value, `"`) {
				if u, err := strconv.Unquote(value); err == nil {
					value = u
				}
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

// openEntry fills a delivery, which has its Place, from the fields of an entry. Those of
// others may have a field for each header and one for the data.
func openEntry(d *engine.Delivery, e engine.Envelope, fields []any) {
	if len(fields) == 2 && text(fields[0]) == fieldEvent {
		openMessage(d, e, text(fields[1]))
		return
	}
	data, found := "", false
	for i := 0; i+1 < len(fields); i += 2 {
		if text(fields[i]) == fieldData {
			data, found = text(fields[i+1]), true
		}
	}
	openWith(d, e, func(yield func(name, value string) bool) {
		for i := 0; i+1 < len(fields); i += 2 {
			name := text(fields[i])
			if name != fieldData && !yield(strings.ToLower(name), text(fields[i+1])) {
				return
			}
		}
	}, data)
	if d.Fault != nil && !found {
		d.Record.Data = asJSON(fields)
	}
}

func openMessage(d *engine.Delivery, e engine.Envelope, message string) {
	block, data := split(message)
	openWith(d, e, headers(block), data)
}

// openWith fills a delivery. One that the envelope cannot open has the bytes of the data.
func openWith(d *engine.Delivery, e engine.Envelope, names iter.Seq2[string, string], data string) {
	body := []byte(data)
	r, err := e.Open(names, body)
	if err != nil {
		r = engine.Record{ID: "redis:" + d.Place, Data: body}
		d.Fault = err
	}
	d.Record = r
}

func asJSON(fields []any) []byte {
	all := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		all[text(fields[i])] = text(fields[i+1])
	}
	b, _ := json.Marshal(all) // strings always can
	return b
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int {
	n, _ := v.(int64)
	return int(n)
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// padded makes an entry's ID one that sorts as text as IDs do.
func padded(id string) string {
	ms, seq, _ := strings.Cut(id, "-")
	return fmt.Sprintf("%020s-%020s", ms, seq)
}
