package deadlettertest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// The values of random letters are few, so that queries meet them, and have in
// them what stores get wrong: case, wildcards of other languages, quotes, what is
// no UTF-8, numbers that no float64 holds.
var (
	randomNames = []string{
		"", "orders", "orders.eu", "orders.eu.placed", "Orders", "orders*", "50%", "x_y", "xay", "größe", "GRÖSSE", `quo"te's`, "a b", "[a]", `back\slash`,
		"panic", "error", "12", "1.0",
	}
	randomTexts = []string{
		"", "connection refused", "dial tcp 10.0.0.1:443: Connection REFUSED", "50% of _all_", "50 percent", "Straße in KÖLN", "strasse in köln",
		"line one\nline two", "a\x00b", "\xff\xfe", "\u212aelvin", "kelvin", `"quoted"`, "ΣΑΣ", "σας", "timeout after 5s", "*", "İstanbul", "id 12 not found",
	}
	randomPayloads = []string{
		"", "{}", "null", "12", `"text"`, "[1,2,3]",
		`{"order":{"id":123,"total":19.90},"items":[{"sku":"a","n":1},{"sku":"B","n":2}]}`,
		`{"order":{"id":"123"},"items":[],"test":true,"none":null}`,
		`{"order":{"id":9007199254740993},"tags":["red","green"]}`,
		`{"order":{"id":9007199254740992},"tags":"red"}`,
		`{"order":{"id":1.23e2},"at":"2026-03-14T03:00:00Z","a.b":{"c d":"x"}}`,
		`{"order":{"id":-5},"at":"2026-03-13","items":[[{"sku":"a"}],{"sku":{"deep":[1,[2,"x"]]}}]}`,
		`{"order":[{"id":1},{"id":124}],"0":"zero","*":"star"}`,
		`{"order":{"id":12300000000000000000000001}} `,
		`{"order":{"id":123}} {}`, `{"order":{"id":123}`, "order id 123", "\xff\x00{\"order\":1}", "Connection refused \u212a ß",
		`{"order":{"id":123,"id":456},"text":"caf\u00e9 50% \"quoted\""}`,
	}
	randomPaths = []string{
		"order", "order.id", "order.total", "items", "items.sku", "items.0.sku", "items.1.n", "items.*.sku", "items.sku.deep", "items.7", "test", "none", "tags", "tags.1", "at",
		`"a.b"."c d"`, "*", "*.id", "order.*", "0", "text", "nothing", "order.0.id", "order.id.x",
	}
	randomTypes    = []string{"*fs.PathError", "*errors.errorString", "syscall.Errno", "*fmt.wrapError"}
	randomHeaders  = []string{"Tenant", "tenant", "x.y", "traceparent"}
	randomReasons  = []string{"attempts_exhausted", "panic", "permanent", "timeout"}
	randomAges     = []time.Duration{0, 1, time.Second, time.Minute, time.Hour, 24 * time.Hour, 36 * time.Hour, 400 * 24 * time.Hour}
	randomStates   = []deadletter.State{deadletter.StateOpen, deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateDeleted}
	randomContents = []string{"application/json", "application/json; charset=utf-8", "", "application/cbor"}
	randomOps      = []string{"op-1", "op-2", "Op-1"}
)

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// randomTime is a time before the day, sometimes none.
func randomTime(rng *rand.Rand) time.Time {
	if rng.IntN(8) == 0 {
		return time.Time{}
	}
	return day.Add(-pick(rng, randomAges)).Add(time.Duration(rng.IntN(3) - 1))
}

// randomLetter returns a letter whose ID sorts by n.
func randomLetter(rng *rand.Rand, n int) deadletter.Letter {
	l := small(n)
	name := func() string { return pick(rng, randomNames) }
	l.Topic, l.Subscriber, l.Pattern, l.Node, l.Build = name(), name(), name(), name(), name()
	l.Reason, l.Cause = pick(rng, randomReasons), name()
	l.Error, l.PanicValue, l.Stack = pick(rng, randomTexts), pick(rng, randomTexts), pick(rng, randomTexts)
	for range rng.IntN(4) {
		l.ErrorTypes = append(l.ErrorTypes, pick(rng, randomTypes))
	}
	l.Fingerprint = fmt.Sprintf("group-%d", rng.IntN(12))
	l.Payload, l.ContentType, l.GoType = []byte(pick(rng, randomPayloads)), pick(rng, randomContents), name()
	for range rng.IntN(3) {
		if l.Headers == nil {
			l.Headers = map[string]string{}
		}
		l.Headers[pick(rng, randomHeaders)] = name()
	}
	l.Sequence = pick(rng, []uint64{0, 1, 5, 12, 1<<63 - 1, 1 << 63, 1<<64 - 1})
	l.AttemptCount = pick(rng, []int{0, 1, 5, 12, 20})
	l.PublishedAt, l.FirstFailedAt, l.LastFailedAt = randomTime(rng), randomTime(rng), randomTime(rng)
	l.EventID, l.CausationID, l.CorrelationID, l.ImportedFrom = name(), name(), name(), name()
	if rng.IntN(4) == 0 {
		l.SnoozedUntil = day.Add(-pick(rng, randomAges)).Add(pick(rng, []time.Duration{0, 1, time.Hour, 400 * 24 * time.Hour}))
	}
	for i := range rng.IntN(4) {
		l.Redrives = append(l.Redrives, deadletter.Redrive{Number: i + 1, Operation: pick(rng, append(randomOps, "")), StartedAt: randomTime(rng)})
	}
	closing := func(as string, was deadletter.State, before *deadletter.Closing) *deadletter.Closing {
		return &deadletter.Closing{As: as, Was: was, At: randomTime(rng), Operation: pick(rng, append(randomOps, "")), By: name(), Before: before}
	}
	resolved := closing(pick(rng, []string{deadletter.ClosedByEdit, deadletter.ClosedByRedrive, deadletter.ClosedByHand}), deadletter.StateOpen, nil)
	if rng.IntN(8) == 0 {
		resolved = nil
	}
	l.State = pick(rng, randomStates)
	switch l.State {
	case deadletter.StateResolved:
		l.Closed = resolved
	case deadletter.StateArchived:
		l.Closed = closing(deadletter.ClosedAsArchive, deadletter.StateResolved, resolved)
	case deadletter.StateDeleted:
		l.Closed = closing(deadletter.ClosedAsDeleted, deadletter.StateArchived, closing(deadletter.ClosedAsArchive, deadletter.StateResolved, resolved))
	}
	return l
}

func randomLetters(rng *rand.Rand, n int) []deadletter.Letter {
	letters := make([]deadletter.Letter, n)
	for i := range letters {
		letters[i] = randomLetter(rng, i)
	}
	return letters
}

// quote makes a value of a query of any text.
func quote(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(strings.ToValidUTF8(s, "?")) + `"`
}

// randomValue is a value or a pattern made of one of the texts.
func randomValue(rng *rand.Rand, texts []string) string {
	s := strings.ToValidUTF8(pick(rng, texts), "?")
	rs := []rune(s)
	switch at := rng.IntN(len(rs) + 1); rng.IntN(5) {
	case 0:
		return quote(string(rs[:at])) + "*"
	case 1:
		return "*" + quote(string(rs[at:]))
	case 2:
		return quote(string(rs[:at])) + "*" + quote(string(rs[min(at+1, len(rs)):]))
	case 3:
		return quote(strings.ToUpper(s))
	}
	return quote(s)
}

// randomTextIn is a part of one of the texts, in any case.
func randomTextIn(rng *rand.Rand, texts []string) string {
	rs := []rune(strings.ToValidUTF8(pick(rng, texts), "?"))
	if len(rs) == 0 {
		return quote("e")
	}
	from := rng.IntN(len(rs))
	s := string(rs[from : from+1+rng.IntN(len(rs)-from)])
	switch rng.IntN(3) {
	case 0:
		s = strings.ToUpper(s)
	case 1:
		s = strings.ToLower(s)
	}
	if cut := strings.Index(s, " "); cut > 0 && rng.IntN(3) == 0 {
		return quote(s[:cut]) + "*" + quote(s[cut+1:]+"e")
	}
	return quote(s)
}

var randomOrders = []string{"", "", "=", ">", ">=", "<", "<="}

// randomTerm is a term of that field.
func randomTerm(rng *rand.Rand, f search.Field) string {
	name := f.Name
	if len(f.Aliases) > 0 && rng.IntN(4) == 0 {
		name = pick(rng, f.Aliases)
	}
	if rng.IntN(12) == 0 && f.Path == "" && f.Kind != search.Presence {
		return "has:" + name
	}
	switch {
	case f.Name == "payload" && rng.IntN(4) > 0:
		path := "payload." + pick(rng, randomPaths)
		switch rng.IntN(6) {
		case 0:
			return "has:" + path
		case 1, 2:
			value := pick(rng, []string{"123", "9007199254740993", "12300000000000000000000001", "-5", "1", "19.9", "0", "2026-03-14", "now-1d", "2026-03-14T03:00:00Z"})
			return path + ":" + pick(rng, []string{">", ">=", "<", "<="}) + value
		}
		return path + ":" + pick(rng, []string{"123", "123.0", "1.23e2", "9007199254740993", "12*", "1*3", "red", "a", "B", "x", "true", "null", `"text"`, "*", "zero", `"2026-03-13"`, "-5", "124", "456", `caf*`})
	case f.Name == "header":
		h := pick(rng, randomHeaders)
		if rng.IntN(4) == 0 {
			return "has:header." + strings.ToUpper(h)
		}
		return "header." + h + ":" + randomValue(rng, randomNames)
	}
	switch f.Kind {
	case search.State:
		return name + ":" + pick(rng, append(search.States, "re*", "*", "*d"))
	case search.Flag:
		return name + ":" + pick(rng, []string{"yes", "no"})
	case search.Integer:
		return name + ":" + pick(rng, randomOrders) + pick(rng, []string{"0", "1", "2", "5", "12", "12.5", "-1", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e30"})
	case search.Time:
		return name + ":" + pick(rng, randomOrders) + pick(rng, []string{
			"2026", "2026-03", "2026-03-13", "2026-03-14", "2025-02", "today", "yesterday", "now", "now-1h", "now-1d", "2026-03-14T03:00", "2026-03-14T03:00:00Z", "2026-03-14T02:59:59+00:00",
			day.Format(time.RFC3339Nano), day.Add(-time.Hour).Format(time.RFC3339Nano), "now-3600s",
		})
	case search.Duration:
		return name + ":" + pick(rng, []string{">", ">=", "<", "<="}) + pick(rng, []string{"0s", "1s", "1m", "1h", "24h", "1d", "36h", "1w", "500d"})
	case search.Text:
		switch f.Name {
		case "payload":
			return name + ":" + randomTextIn(rng, randomPayloads)
		default:
			return name + ":" + randomTextIn(rng, randomTexts)
		}
	case search.Presence:
		return "has:" + pick(rng, []string{"stack", "err", "sub", "age", "snoozed", "resolved", "redrives", "op", "payload", "closed", "type"})
	}
	switch f.Name {
	case "reason":
		return name + ":" + randomValue(rng, randomReasons)
	case "type":
		return name + ":" + randomValue(rng, randomTypes)
	case "group":
		return name + ":" + pick(rng, []string{"group-1", "group-*", "group-1*", "*-3", "nothing"})
	case "op":
		return name + ":" + pick(rng, []string{"op-1", "op-*", "Op-1", `""`, "*"})
	case "closed":
		return name + ":" + pick(rng, []string{"edited", "redriven", "by_hand", "archived", "deleted", `""`, "*d"})
	case "content":
		return name + ":" + pick(rng, []string{"application/json", "application/json*", `""`, "*cbor"})
	case "id":
		return name + ":" + pick(rng, []string{"letter-000007", "letter-00000*", "*1", "letter-0000*7"})
	}
	return name + ":" + randomValue(rng, randomNames)
}

// randomQuery is a query that Parse accepts, with up to a few terms.
func randomQuery(rng *rand.Rand, depth int) string {
	if depth == 0 || rng.IntN(3) == 0 {
		if rng.IntN(8) == 0 {
			return randomTextIn(rng, append(randomTexts, randomPayloads...))
		}
		return randomTerm(rng, pick(rng, search.Fields()))
	}
	parts := make([]string, 2+rng.IntN(2))
	for i := range parts {
		parts[i] = randomQuery(rng, depth-1)
	}
	switch rng.IntN(4) {
	case 0:
		return "(" + strings.Join(parts, " ") + ")"
	case 1:
		return "-" + parts[0]
	}
	return "(" + strings.Join(parts, " or ") + ")"
}

// randomExpr parses a random query; one that is none is a fault of the suite.
func randomExpr(rng *rand.Rand) search.Expr {
	for {
		text := randomQuery(rng, 2)
		e, err := search.Parse(text)
		if err == nil {
			return e
		}
		if !strings.Contains(err.Error(), "an empty text") {
			panic(fmt.Sprintf("deadlettertest: a random query is none: %s: %v", text, err))
		}
	}
}
