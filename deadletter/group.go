package deadletter

import (
	"errors"
	"fmt"
	"time"
)

// MaxGroupTopics is how many topics a Group names.
const MaxGroupTopics = 10

// Group is what is known of the letters with one fingerprint.
type Group struct {
	GroupRecord
	Fingerprint string `json:"fingerprint"`
	// State follows from the times, see [Group.StateOf].
	State GroupState `json:"state"`
	// The fields of the newest letter, and its ID. Sample is empty, and the fields
	// are those of the newest there was, if all letters are gone.
	Subscriber string   `json:"subscriber"`
	Reason     string   `json:"reason"`
	Cause      string   `json:"cause,omitempty"`
	Error      string   `json:"error,omitempty"`
	ErrorTypes []string `json:"error_types,omitempty"`
	Sample     string   `json:"sample,omitempty"`
	// Topics are those of its letters, in order, the first MaxGroupTopics of them.
	Topics []string `json:"topics"`
	// Counts are of the letters in the store by state, tombstones too; a state
	// without letters is not in it. Snoozed counts the open ones that are.
	Counts  map[State]int `json:"counts"`
	Snoozed int           `json:"snoozed,omitempty"`
	// FirstSeen and LastSeen are of failures, of letters that are gone, too: the
	// earliest FirstFailedAt and the latest LastFailedAt.
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// RedrivenAt is when the latest redrive of one of its letters began.
	RedrivenAt time.Time `json:"redriven_at,omitzero"`
	// Spark counts the group's letters by when they last failed, in equal spans,
	// oldest first, if the query asked.
	Spark []int `json:"spark,omitempty"`
}

// GroupRecord is what people say of a group.
type GroupRecord struct {
	Note           string    `json:"note,omitempty"`
	Owner          string    `json:"owner,omitempty"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
}

// GroupState says whether a person has to look at a group.
type GroupState string

// The states of a group.
const (
	// GroupNew: nobody has looked at it.
	GroupNew GroupState = "new"
	// GroupAcknowledged: somebody knows of it.
	GroupAcknowledged GroupState = "acknowledged"
	// GroupRegressed: it failed again after a redrive, and nobody has
	// acknowledged it since that redrive.
	GroupRegressed GroupState = "regressed"
)

// StateOf derives the state of a group from its times.
func (g *Group) StateOf() GroupState {
	switch {
	case !g.RedrivenAt.IsZero() && g.LastSeen.After(g.RedrivenAt) && !g.AcknowledgedAt.After(g.RedrivenAt):
		return GroupRegressed
	case !g.AcknowledgedAt.IsZero():
		return GroupAcknowledged
	}
	return GroupNew
}

// GroupQuery selects groups.
type GroupQuery struct {
	// Letters selects the letters whose groups are wanted. Its After and Limit
	// play no part.
	Letters Query
	// State selects groups by state. Zero means any.
	State GroupState
	// Spark asks for that many spans of Group.Spark, at most MaxSpans, which cover
	// SparkSince until Letters.Now. They are divided as those of [Timeline].
	Spark      int
	SparkSince time.Time
	// After and Limit are as in Query.
	After string
	Limit int
}

// GroupPage is a part of the groups that a query selects.
type GroupPage struct {
	Groups []Group `json:"groups"`
	Next   string  `json:"next,omitempty"`
	Total  int     `json:"total"`
}

// AsOf returns the query with what is relative to the present fixed: Letters.Now is
// now unless it is set. Stores call it first.
func (q GroupQuery) AsOf(now time.Time) GroupQuery {
	q.Letters = q.Letters.AsOf(now)
	return q
}

// Validate reports every rule that the query breaks, as one error that wraps
// ErrInvalidQuery, or nil. It is asked of a query after AsOf.
func (q GroupQuery) Validate() error {
	letters := q.Letters
	letters.After, letters.Limit = "", 0
	faults := []error{letters.Validate()}
	switch q.State {
	case "", GroupNew, GroupAcknowledged, GroupRegressed:
	default:
		faults = append(faults, fmt.Errorf("GroupQuery.State %q: must be empty, %q, %q or %q", q.State, GroupNew, GroupAcknowledged, GroupRegressed))
	}
	if q.Spark != 0 {
		if _, err := NewTimeline(q.SparkSince, q.Letters.Now, q.Spark); err != nil {
			faults = append(faults, fmt.Errorf("GroupQuery.Spark: %w", err))
		}
	}
	faults = append(faults, limitFault("GroupQuery.Limit", q.Limit))
	return invalidQuery(faults...)
}

// invalidQuery joins the faults that are there.
func invalidQuery(faults ...error) error {
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidQuery, err)
	}
	return nil
}

func limitFault(field string, limit int) error {
	if limit < 0 || limit > MaxLimit {
		return fmt.Errorf("%s %d: must be 0 to %d", field, limit, MaxLimit)
	}
	return nil
}

func limitOr(limit int) int {
	if limit == 0 {
		return DefaultLimit
	}
	return limit
}
