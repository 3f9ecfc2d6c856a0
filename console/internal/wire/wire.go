// Package wire is what the console and its client say to each other beside the
// types of packages ops, deadletter and runtime.
package wire

import (
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// Nothing is the answer of calls that only succeed.
type Nothing struct{}

// About says what this console is and what its caller may do.
type About struct {
	Name        string `json:"name"`
	Node        string `json:"node"`
	Environment string `json:"environment,omitempty"`
	// User is who the server says the caller is. Empty: the caller names itself.
	User  string `json:"user,omitempty"`
	Named bool   `json:"named"` // the server says who the caller is
	// Rights by name, for actions that are of no topic in particular.
	Rights map[string]bool `json:"rights"`
	// Offline is a ledger without a runtime.
	Offline bool      `json:"offline"`
	Started time.Time `json:"started"`
	At      time.Time `json:"at"`
}

// LetterPage is a page of letters. Hidden counts those left out because the
// caller may not see their topics; Withheld those without payload, headers and
// errors.
type LetterPage struct {
	deadletter.Page
	Hidden   int `json:"hidden,omitempty"`
	Withheld int `json:"withheld,omitempty"`
}

// GroupPage is a page of groups.
type GroupPage struct {
	deadletter.GroupPage
	Hidden   int `json:"hidden,omitempty"`
	Withheld int `json:"withheld,omitempty"`
}

// Letter is a letter with what depends on who looks.
type Letter struct {
	deadletter.Letter
	Withheld bool `json:"withheld,omitempty"`
	// UserFrames are the numbers of the lines of Stack, from 0, that are of the
	// user's code.
	UserFrames []int `json:"user_frames,omitempty"`
}

// Subscribers is a page of subscribers.
type Subscribers struct {
	Subscribers []Subscriber   `json:"subscribers"`
	Total       int            `json:"total"`
	States      map[string]int `json:"states"` // of all that the other filters select
	At          time.Time      `json:"at"`
}

// Subscriber is a subscriber and the way to it from the root of the tree.
type Subscriber struct {
	Path     []string `json:"path"`
	Strategy string   `json:"strategy"` // of the last group of Path
	runtime.SubscriberDescription
}

// Health is how the groups of the tree stand, in the order of the tree.
type Health struct {
	Groups []GroupHealth `json:"groups"`
	Total  int           `json:"total"` // of groups with subscribers
	At     time.Time     `json:"at"`
}

// GroupHealth sums up a group's own subscribers.
type GroupHealth struct {
	Path        []string       `json:"path"`
	Strategy    string         `json:"strategy"`
	Stopped     bool           `json:"stopped,omitempty"`
	Subscribers int            `json:"subscribers"`
	States      map[string]int `json:"states"`
	Depth       uint64         `json:"depth"`
	Oldest      time.Duration  `json:"oldest_ns"`
	Dead        uint64         `json:"dead"`
	Failures    uint64         `json:"failures"`
	Restarts    uint64         `json:"restarts"`
	// Trouble is 0 to 5, that of the worst subscriber.
	Trouble int `json:"trouble"`
}

// Topics is a page of topics.
type Topics struct {
	Topics []runtime.TopicDescription `json:"topics"`
	Total  int                        `json:"total"`
}

// Series is how the runtime did, oldest first.
type Series struct {
	Every  time.Duration `json:"every_ns"`
	Points []Point       `json:"points"`
}

// Point is a span of time that ended at At. Rates are per second.
type Point struct {
	At       time.Time `json:"at"`
	Done     float64   `json:"done"`
	Failures float64   `json:"failures"` // attempts
	Dead     float64   `json:"dead"`
	Depth    uint64    `json:"depth"` // queued, in flight and waiting for another attempt
}

// Counted is a number of letters.
type Counted struct {
	Count int `json:"count"`
}

// Completions are queries that the one that is typed may become: with each of Words
// in place of the bytes From to To.
type Completions struct {
	Completions []string `json:"completions"`
	Words       []string `json:"words"`
	From        int      `json:"from"`
	To          int      `json:"to"`
}

// Fixes are the registered fixes.
type Fixes struct {
	Fixes []FixInfo `json:"fixes"`
}

// FixInfo names a fix.
type FixInfo struct {
	Name  string `json:"name"`
	About string `json:"about,omitempty"`
}

// Timeline is a list of spans.
type Timeline struct {
	Spans []deadletter.Span `json:"spans"`
}

// Text is a text.
type Text struct {
	Text string `json:"text"`
}

// Diff is where two documents differ.
type Diff struct {
	Diff     []ops.DiffLine `json:"diff"`
	Withheld bool           `json:"withheld,omitempty"`
}

// Samples are what a fix makes of letters.
type Samples struct {
	Samples []ops.FixSample `json:"samples"`
}

// The bodies of POST requests.
type (
	// PreviewRequest asks what a redrive would do.
	PreviewRequest struct {
		Redrive ops.Redrive `json:"redrive"`
	}
	// RedriveRequest begins a redrive.
	RedriveRequest struct {
		By      ops.By      `json:"by"`
		Redrive ops.Redrive `json:"redrive"`
	}
	// OperationRequest pauses, resumes or cancels an operation.
	OperationRequest struct {
		By ops.By `json:"by"`
		ID string `json:"id"`
	}
	// RateRequest changes the rate of an operation.
	RateRequest struct {
		By        ops.By  `json:"by"`
		ID        string  `json:"id"`
		PerSecond float64 `json:"per_second"`
	}
	// CountRequest counts the letters of a scope.
	CountRequest struct {
		Scope ops.Scope `json:"scope"`
	}
	// ChangeRequest changes many letters.
	ChangeRequest struct {
		By     ops.By     `json:"by"`
		Change ops.Change `json:"change"`
	}
	// PreviewEditRequest asks what an edit would do.
	PreviewEditRequest struct {
		ID   string   `json:"id"`
		Edit ops.Edit `json:"edit"`
	}
	// EditRequest sends an edited event.
	EditRequest struct {
		By   ops.By   `json:"by"`
		ID   string   `json:"id"`
		Edit ops.Edit `json:"edit"`
	}
	// PreviewFixRequest tries a fix on n letters.
	PreviewFixRequest struct {
		Name  string    `json:"name"`
		Scope ops.Scope `json:"scope"`
		N     int       `json:"n"`
	}
	// GroupChangeRequest changes what is said of a group: what is not null.
	GroupChangeRequest struct {
		By           ops.By  `json:"by"`
		Fingerprint  string  `json:"fingerprint"`
		Note         *string `json:"note,omitempty"`
		Owner        *string `json:"owner,omitempty"`
		Acknowledged *bool   `json:"acknowledged,omitempty"`
	}
	// SubscriberRequest pauses, resumes or restarts a subscriber.
	SubscriberRequest struct {
		By         ops.By `json:"by"`
		Topic      string `json:"topic"`
		Subscriber string `json:"subscriber"`
	}
)
