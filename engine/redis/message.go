package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unsafe"

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

// sealer makes messages of the records of one Publish. They lie in one buffer, so they
// are copies of the records: a call whose context has ended goes on without its caller.
type sealer struct {
	envelope engine.Envelope
	limit    int
	buf      []byte
	fault    error
	set      func(name, value string) // header
}

// headerRoom is about what the headers add to Record.Size: their names.
const headerRoom = 160

func newSealer(e engine.Envelope, limit int, records []engine.Record) *sealer {
	room := 0
	for i := range records {
		if n := records[i].Size(); n <= limit {
			room += n + headerRoom
		}
	}
	s := &sealer{envelope: e, limit: limit, buf: make([]byte, 0, room)}
	s.set = s.header
	return s
}

// seal returns a string, which the client can be given by its address, as it can not a
// slice: that is an allocation less.
func (s *sealer) seal(r *engine.Record) (string, error) {
	if n := r.Size(); n > s.limit {
		return "", fmt.Errorf("%w: %d bytes where Config.MaxRecord is %d", engine.ErrTooLarge, n, s.limit)
	}
	from := len(s.buf)
	s.buf = append(s.buf, magic...)
	s.fault = nil
	body, err := s.envelope.Seal(r, s.set)
	if err = errors.Join(err, s.fault); err != nil {
		s.buf = s.buf[:from]
		return "", err
	}
	s.buf = append(append(s.buf, '\n'), body...)
	// Nothing writes to this part of the buffer any more.
	return unsafe.String(&s.buf[from], len(s.buf)-from), nil
}

func (s *sealer) header(name, value string) {
	if name == "" || strings.IndexByte(name, ':') >= 0 || strings.IndexByte(name, '\n') >= 0 {
		s.fault = fmt.Errorf("header %q: must have a name without colon and newline", name)
		return
	}
	s.buf = appendHeader(s.buf, name, value)
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

// opener opens messages, one after the other.
type opener struct {
	envelope engine.Envelope
	block    string
	fields   []any
	ours     iter.Seq2[string, string] // headers
	others   iter.Seq2[string, string] // foreign
}

func newOpener(e engine.Envelope) *opener {
	o := &opener{envelope: e}
	o.ours, o.others = o.headers, o.foreign
	return o
}

// headers yields what appendHeader has written. A line that is none of ours is left out.
func (o *opener) headers(yield func(name, value string) bool) {
	for block := o.block; len(block) > 0; {
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

// foreign yields the fields of others but the data.
func (o *opener) foreign(yield func(name, value string) bool) {
	for i := 0; i+1 < len(o.fields); i += 2 {
		name := text(o.fields[i])
		if name != fieldData && !yield(strings.ToLower(name), text(o.fields[i+1])) {
			return
		}
	}
}

// entry fills a delivery, which has its Place, from the fields of an entry. Those of
// others may have a field for each header and one for the data.
func (o *opener) entry(d *engine.Delivery, fields []any) {
	if len(fields) == 2 && text(fields[0]) == fieldEvent {
		o.message(d, text(fields[1]))
		return
	}
	data, found := "", false
	for i := 0; i+1 < len(fields); i += 2 {
		if text(fields[i]) == fieldData {
			data, found = text(fields[i+1]), true
		}
	}
	o.fields = fields
	o.open(d, o.others, data)
	if d.Fault != nil && !found {
		d.Record.Data = asJSON(fields)
	}
}

func (o *opener) message(d *engine.Delivery, message string) {
	block, data := split(message)
	o.block = block
	o.open(d, o.ours, data)
}

// open fills a delivery. One that the envelope cannot open has the bytes of the data.
//
// The data is not copied: the client has made the string for nobody else, and headers
// are other parts of it.
func (o *opener) open(d *engine.Delivery, headers iter.Seq2[string, string], data string) {
	body := unsafe.Slice(unsafe.StringData(data), len(data))
	r, err := o.envelope.Open(headers, body)
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
