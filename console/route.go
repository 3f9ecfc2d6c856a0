package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/troupe-go/troupe/console/internal/wire"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// route is a call of the API: what it takes, what it gives, and who may do it.
// The OpenAPI description is made of these.
type route struct {
	path, method string
	summary      string
	rights       string // beyond metadata, for people
	params       []param
	body, result any    // zero values; a nil result is of type media
	media        string // of the result, or of the body of a POST without body
	serve        func(*call) error
}

type param struct {
	name, kind, about string
	many              bool
}

// name is the Action's: "pause_subscriber" for subscriber/pause.
func (r *route) name() string {
	parts := strings.Split(r.path, "/")
	slices.Reverse(parts)
	return strings.Join(parts, "_")
}

func (r *route) param(name string) (param, bool) {
	for _, p := range r.params {
		if p.name == name {
			return p, true
		}
	}
	return param{}, false
}

func (r *route) paramNames() string {
	if len(r.params) == 0 {
		return "no parameters"
	}
	var names []string
	for _, p := range r.params {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// The parameters that several calls have.
var (
	pQuery  = param{name: "query", kind: "string", about: "selects letters, in the query language"}
	pAfter  = param{name: "after", kind: "string", about: "next of the page before"}
	pLimit  = param{name: "limit", kind: "integer", about: "the largest number of entries, up to 1000; 50 without"}
	pOffset = param{name: "offset", kind: "integer", about: "how many entries to leave out"}
	pID     = param{name: "id", kind: "string", about: "which one"}
	pFilter = param{name: "filter", kind: "string", about: "text that a name contains"}
	pTopic  = param{name: "topic", kind: "string", about: "the topic"}
)

func get(path, summary, rights string, result any, serve func(*call) error, params ...param) route {
	return route{path: path, method: http.MethodGet, summary: summary, rights: rights, result: result, serve: serve, params: params}
}

func post(path, summary, rights string, body, result any, serve func(*call) error) route {
	return route{path: path, method: http.MethodPost, summary: summary, rights: rights, body: body, result: result, serve: serve}
}

var routes []route

func init() {
	routes = []route{
		get("about", "What this console is and what the caller may do", "", wire.About{}, (*call).about),
		get("overview", "What fails, since when, how it stands", "", ops.Overview{}, (*call).overview),
		get("tree", "The whole tree with its configuration; large", "", runtime.Description{}, (*call).describe),
		get("subscribers", "A page of subscribers", "", wire.Subscribers{}, (*call).subscribers,
			pFilter, pTopic, param{name: "group", kind: "string", about: "the way to a group of the tree, such as /root/shop"}, param{name: "state", kind: "string", about: "one of the states of a subscriber"},
			param{name: "name", kind: "string", about: "the subscriber's name, whole"},
			param{name: "sort", kind: "string", about: "tree (default), trouble, depth, age, restarts, failures or dead"}, pOffset, pLimit),
		get("health", "How the groups of the tree stand", "", wire.Health{}, (*call).health),
		get("topics", "A page of topics", "", wire.Topics{}, (*call).topics, pFilter, pOffset, pLimit),
		get("series", "Throughput, failures and depth of the last hour", "", wire.Series{}, (*call).seriesOf),
		get("groups", "A page of groups of letters that failed in the same way", "payload, for errors", wire.GroupPage{}, (*call).groups,
			pQuery, param{name: "state", kind: "string", about: "new, acknowledged or regressed"},
			param{name: "spark", kind: "integer", about: "the number of spans to count failures in, up to 200"},
			param{name: "since", kind: "date-time", about: "when the spans begin; a day ago without"}, pAfter, pLimit),
		get("group", "One group", "payload, for errors", deadletter.Group{}, (*call).group, param{name: "fingerprint", kind: "string", about: "which one"}),
		get("letters", "A page of letters, newest first", "payload, for payloads, headers and errors, and to search in them", wire.LetterPage{}, (*call).letters,
			pQuery, pAfter, pLimit, param{name: "brief", kind: "boolean", about: "without payloads, stacks and attempts"},
			param{name: "quick", kind: "boolean", about: "without a wait, neither for a total that takes longer than the page: partial says that there are more, and count tells how many; nor for letters that are rare: searched says how much of the store has been looked at, and next looks on"},
			param{name: "within", kind: "integer", about: "how many milliseconds a quick page looks for letters, up to 1000; 2 without"}),
		get("letter", "One letter with all that is known of it", "payload, for payload, headers and errors", wire.Letter{}, (*call).letter, pID),
		get("timeline", "Failures and resolutions in equal spans of time", "", wire.Timeline{}, (*call).timeline,
			pQuery, param{name: "from", kind: "date-time", about: "a day ago without"}, param{name: "until", kind: "date-time", about: "now without"},
			param{name: "spans", kind: "integer", about: "up to 1000; 60 without"}),
		get("operations", "A page of operations, newest first", "", deadletter.OperationPage{}, (*call).operations,
			param{name: "state", kind: "string", about: "running, paused, stopped, done or cancelled", many: true}, pAfter, pLimit),
		get("operation", "One operation with its progress", "", ops.Operation{}, (*call).operation, pID),
		get("items", "A page of the letters of an operation", "payload, for errors", deadletter.ItemPage{}, (*call).items,
			param{name: "operation", kind: "string", about: "which one"},
			param{name: "state", kind: "string", about: "pending, issued, done, failed, left or in_doubt", many: true},
			param{name: "after", kind: "integer", about: "next of the page before; -1 without"}, pLimit),
		get("audit", "Who did what, newest first", "payload, for errors and queries in them", deadletter.AuditPage{}, (*call).audit,
			param{name: "by", kind: "string", about: "who"}, param{name: "action", kind: "string", about: "what"},
			param{name: "object", kind: "string", about: "to what"}, param{name: "from", kind: "date-time", about: "not before"},
			param{name: "until", kind: "date-time", about: "before"}, pAfter, pLimit),
		get("verify", "Checks that the account of letters adds up", "", deadletter.Account{}, (*call).verify),
		get("complete", "What may follow in a query", "payload, for fields of payloads", wire.Completions{}, (*call).complete,
			pQuery, param{name: "at", kind: "integer", about: "the byte of the cursor; the end without"}),
		get("fixes", "The registered repairs of payloads", "", wire.Fixes{}, (*call).fixes),
		get("diff", "Where the payloads and headers of two letters differ", "payload", wire.Diff{}, (*call).diff,
			param{name: "a", kind: "string", about: "a letter"}, param{name: "b", kind: "string", about: "another"}),
		get("gotest", "A Go test that gives a letter's event to its handler", "payload", wire.Text{}, (*call).goTest, pID),
		{path: "export", method: http.MethodGet, summary: "Letters as a file, which the audit trail records; the trailer Troupe-Count says how many", rights: "payload of all topics chosen",
			media: "application/x-ndjson", serve: (*call).export,
			params: []param{{name: "id", kind: "string", about: "letters by name", many: true}, {name: "group", kind: "string", about: "all of a group"},
				pQuery, {name: "format", kind: "string", about: "jsonl (default) or cloudevents"},
				{name: "by", kind: "string", about: "who, if the server does not know"}, {name: "why", kind: "string", about: "why"}}},
		{path: "events", method: http.MethodGet, summary: "What happens, as server-sent events; Last-Event-ID resumes", rights: "payload, for texts",
			media: "text/event-stream", serve: (*call).events,
			params: []param{{name: "since", kind: "integer", about: "the number of the last event that is known, in place of Last-Event-ID"}}},
		{path: "openapi.json", method: http.MethodGet, summary: "This description", media: "application/json", serve: (*call).description},

		post("count", "How many letters there are in a scope", "payload, to search in them", wire.CountRequest{}, wire.Counted{}, (*call).count),
		post("redrive/preview", "What a redrive would do", "payload, for errors", wire.PreviewRequest{}, ops.Preview{}, (*call).previewRedrive),
		post("redrive", "Begins a redrive", "mutate", wire.RedriveRequest{}, ops.Operation{}, (*call).redrive),
		post("operation/pause", "Pauses an operation", "mutate", wire.OperationRequest{}, ops.Operation{}, (*call).pauseOperation),
		post("operation/resume", "Resumes an operation that was paused or has stopped", "mutate", wire.OperationRequest{}, ops.Operation{}, (*call).resumeOperation),
		post("operation/cancel", "Cancels an operation", "mutate", wire.OperationRequest{}, ops.Operation{}, (*call).cancelOperation),
		post("operation/rate", "Changes the rate of an operation", "mutate", wire.RateRequest{}, ops.Operation{}, (*call).setRate),
		post("change", "Archives, restores, deletes, snoozes or resolves letters", "mutate", wire.ChangeRequest{}, ops.Operation{}, (*call).change),
		post("edit/preview", "What an edit would do", "payload", wire.PreviewEditRequest{}, ops.Edited{}, (*call).previewEdit),
		post("edit", "Sends an edited event in place of a letter's", "mutate", wire.EditRequest{}, ops.Edited{}, (*call).edit),
		post("fix/preview", "Tries a fix on some letters", "payload of all topics chosen", wire.PreviewFixRequest{}, wire.Samples{}, (*call).previewFix),
		post("group/change", "Changes note, owner or acknowledgment of a group", "mutate", wire.GroupChangeRequest{}, deadletter.Group{}, (*call).changeGroup),
		post("subscriber/pause", "Pauses a subscriber", "control", wire.SubscriberRequest{}, wire.Nothing{}, (*call).pauseSubscriber),
		post("subscriber/resume", "Resumes a subscriber", "control", wire.SubscriberRequest{}, wire.Nothing{}, (*call).resumeSubscriber),
		post("subscriber/restart", "Restarts a subscriber", "control", wire.SubscriberRequest{}, wire.Nothing{}, (*call).restartSubscriber),
		{path: "import", method: http.MethodPost, summary: "Adds letters from a file of an export", rights: "mutate all topics", result: ops.Imported{},
			media: "application/x-ndjson", serve: (*call).importLetters,
			params: []param{{name: "format", kind: "string", about: "jsonl (default) or cloudevents"},
				{name: "by", kind: "string", about: "who, if the server does not know"}, {name: "why", kind: "string", about: "why"}}},
		{path: "import/preview", method: http.MethodPost, summary: "What an import of a file would do", rights: "mutate all topics", result: ops.Imported{},
			media: "application/x-ndjson", serve: (*call).previewImport,
			params: []param{{name: "format", kind: "string", about: "jsonl (default) or cloudevents"}}},
	}
}
