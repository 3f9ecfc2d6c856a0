package ops

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"go/format"
	"go/token"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// GoTest returns a Go test file that gives the letter's event to a handler, as a
// regression test: it fails as long as the handler does. One thing cannot be known
// here, which is the handler: the test calls a variable, in a line of its own, whose
// type is that of a handler of this event; it does not compile until the name there is
// that of one.
//
// The file belongs beside the event's type, or where its import leads. With a runtime
// the type is known with the path of its package; else a comment says as what it was
// published. A payload that is not JSON is a literal of bytes and is
// decoded by a codec that the test names in the same way.
//
// Errors: deadletter.ErrNotFound; runtime.ErrNoPayload.
func (d *Desk) GoTest(ctx context.Context, id string) (string, error) {
	l, err := d.ledger.Get(ctx, id)
	if err != nil {
		return "", err
	}
	if l.PayloadError != "" {
		return "", fmt.Errorf("ops: go test of %s: %w: %s", id, runtime.ErrNoPayload, l.PayloadError)
	}
	var typ reflect.Type
	if d.rt != nil {
		if t, err := d.rt.Topic(l.Topic); err == nil {
			typ = t.Type()
		}
	}
	return goTest(l, typ)
}

// fixture is a test that is being written.
type fixture struct {
	imports map[string]string // by path: the name, "" for the usual
	event   string            // the event's type in Go
	notes   []string
}

func goTest(l deadletter.Letter, typ reflect.Type) (string, error) {
	f := fixture{imports: map[string]string{"testing": "", modulePath + "/topics": "",
		modulePath + "/troupetest": ""}}
	f.typeOf(l, typ)
	json := isJSON(l.ContentType)
	name := "Test" + exported(cmp.Or(l.Subscriber, l.Topic)) + "HandlesLetter" + exported(l.ID)
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("// %s replays a dead letter.\n//\n", name)
	p("//   letter      %s\n", comment(l.ID))
	p("//   topic       %s\n", comment(l.Topic))
	if l.Subscriber != "" {
		p("//   subscriber  %s\n", comment(l.Subscriber))
	}
	if !l.LastFailedAt.IsZero() {
		p("//   failed      %s, %d attempts, %s\n", l.LastFailedAt.UTC().Format(time.RFC3339), l.AttemptCount, comment(l.Reason))
	}
	if l.Error != "" {
		p("//   error       %s\n", comment(firstLine(l.Error)))
	}
	for _, n := range f.notes {
		p("//\n// %s\n", n)
	}
	p("func %s(t *testing.T) {\n", name)
	p("// The handler that failed. Any function of this type will do.\n")
	p("var handle topics.Handler[%s] = %s\n\n", f.event, handlerName(l))
	if json {
		p("payload := []byte(%s)\n", literal(string(l.Payload)))
	} else {
		p("payload := []byte(%s)\n", byteString(l.Payload))
		p("// The codec of the topic, for %s.\n", comment(l.ContentType))
		p("var codec topics.Codec = codecOf%s\n", exported(l.Topic))
	}
	p("headers := map[string]string{")
	if len(l.Headers) > 0 {
		p("\n")
		for _, k := range slices.Sorted(maps.Keys(l.Headers)) {
			p("%s: %s,\n", strconv.Quote(k), strconv.Quote(l.Headers[k]))
		}
	}
	p("}\n\n")
	p("rt := troupetest.New(t)\n")
	var config []string
	if !json {
		config = append(config, "Codec: codec")
	}
	version := max(1, l.SchemaVersion)
	if version > 1 {
		config = append(config, fmt.Sprintf("Version: %d", version))
	}
	p("topic, err := topics.Open[%s](rt.Runtime, %s, topics.Config{%s})\n", f.event, strconv.Quote(l.Topic), strings.Join(config, ", "))
	p("if err != nil {\nt.Fatal(err)\n}\n")
	f.imports[modulePath+"/deadletter"] = ""
	p("event, err := topic.Decode(deadletter.Letter{Payload: payload, ContentType: %s, SchemaVersion: %d})\n", strconv.Quote(l.ContentType), version)
	p("if err != nil {\nt.Fatalf(\"the payload does not decode: %%v\", err)\n}\n")
	f.imports[modulePath+"/supervisor"] = ""
	p("if _, err := topic.Subscribe(%s, handle, topics.SubscriberConfig{\nRetry: supervisor.Retry{MaxAttempts: supervisor.NoRetry},\n}); err != nil {\nt.Fatal(err)\n}\n",
		strconv.Quote(cmp.Or(l.Subscriber, "handler")))
	p("meta := topics.Meta{ID: %s, Headers: headers}\n", strconv.Quote(cmp.Or(l.EventID, l.ID)))
	p("if err := topic.PublishWith(t.Context(), event, meta); err != nil {\nt.Fatal(err)\n}\n")
	p("rt.Idle()\n")
	p("for _, l := range rt.Letters() {\nt.Errorf(\"it fails: %%s: %%s\\n%%s\", l.Reason, l.Error, l.Stack)\n}\n}\n")

	var file bytes.Buffer
	fmt.Fprintf(&file, "package %s\n\nimport (\n", f.pkg(typ))
	for _, std := range []bool{true, false} {
		for _, im := range slices.Sorted(maps.Keys(f.imports)) {
			if strings.Contains(im, ".") == std {
				continue
			}
			fmt.Fprintf(&file, "%s %s\n", f.imports[im], strconv.Quote(im))
		}
		fmt.Fprintln(&file)
	}
	fmt.Fprintf(&file, ")\n\n%s", b.Bytes())
	out, err := format.Source(file.Bytes())
	if err != nil {
		return "", fmt.Errorf("ops: go test of %s: %w", l.ID, err)
	}
	return string(out), nil
}

// modulePath is where the packages of this library are.
const modulePath = "github.com/troupe-go/troupe"

// typeOf finds out how the event's type is written.
func (f *fixture) typeOf(l deadletter.Letter, typ reflect.Type) {
	if typ == nil {
		f.event = "map[string]any"
		if !isJSON(l.ContentType) {
			f.event = "[]byte"
		}
		f.notes = append(f.notes, "It was published as a "+comment(l.GoType)+": put that in place of "+f.event+", with its import.")
		return
	}
	f.event = f.write(typ)
}

// write returns a type as it is written in another package, and imports what it needs.
func (f *fixture) write(typ reflect.Type) string {
	if p := typ.PkgPath(); p != "" && typ.Name() != "" {
		if p == "main" || strings.Contains(typ.Name(), "[") || !token.IsExported(typ.Name()) {
			// It can be named in its own package only, or by its own name.
			return typ.Name()
		}
		f.imports[p] = ""
		if pkg, _, _ := strings.Cut(typ.String(), "."); pkg != path.Base(p) {
			f.imports[p] = pkg
		}
		return typ.String()
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return "*" + f.write(typ.Elem())
	case reflect.Slice:
		return "[]" + f.write(typ.Elem())
	case reflect.Map:
		return "map[" + f.write(typ.Key()) + "]" + f.write(typ.Elem())
	}
	return typ.String()
}

// pkg returns the name of the file's package.
func (f *fixture) pkg(typ reflect.Type) string {
	for typ != nil && typ.Name() == "" && (typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice) {
		typ = typ.Elem()
	}
	if typ == nil || typ.PkgPath() == "" {
		return "main"
	}
	pkg, _, _ := strings.Cut(typ.String(), ".")
	if typ.PkgPath() == "main" || !token.IsExported(typ.Name()) {
		return pkg
	}
	return pkg + "_test"
}

var notName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// exported makes a part of a name of any text.
func exported(text string) string {
	var b strings.Builder
	for _, part := range notName.Split(text, -1) {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// handlerName is the name of the handler that the reader most likely has.
func handlerName(l deadletter.Letter) string {
	return "handle" + exported(cmp.Or(l.Subscriber, l.Topic))
}

// comment returns text that does not leave a comment.
func comment(text string) string {
	const most = 200
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// literal returns a string in Go, raw if that can be.
func literal(s string) string {
	if strconv.CanBackquote(strings.ReplaceAll(s, "\n", "")) && !strings.Contains(s, "\r") {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

// byteString returns bytes as a string in Go, in lines.
func byteString(data []byte) string {
	const width = 32
	if len(data) == 0 {
		return `""`
	}
	var parts []string
	for chunk := range slices.Chunk(data, width) {
		var b strings.Builder
		for _, c := range chunk {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
		parts = append(parts, `"`+b.String()+`"`)
	}
	return strings.Join(parts, " +\n")
}
