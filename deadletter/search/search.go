// Package search is the query language of dead letters, for people who type it
// into a page or a command line:
//
//	topic:orders.* sub:billing reason:panic err:"timeout" payload.order.id:123
//	age:>1h redrives:>0 state:open "free text"
//
// Terms that stand beside each other must all hold. Between two terms stands or,
// before one that must not hold stands - or not, and parentheses group:
//
//	(topic:orders.* or topic:refunds) -state:resolved not payload.test:true
//
// [Parse] reads a query, [Expr] is what it says, and [Expr.String] its normal form.
// What a letter is belongs to package deadletter, whose Query evaluates an Expr; a
// store may compile it to its own language. [Fields] describes what can be asked.
//
// # Grammar
//
// In EBNF, with { } for any number, [ ] for none or one, and blanks between
// everything but inside a term:
//
//	query    = [ or ] .
//	or       = and { ( "or" | "OR" ) and } .
//	and      = unary { [ "and" | "AND" ] unary } .
//	unary    = "-" unary | ( "not" | "NOT" ) unary | "(" or ")" | term .
//	term     = field ":" [ order ] value | "has" ":" field | value .
//	field    = name { "." step } .
//	order    = ">" | ">=" | "<" | "<=" | "=" .
//	value    = piece { piece } .
//	piece    = plain | quoted .
//	step     = ( plain without . and : | quoted ) { ... } .
//	name     = letter { letter | digit | "_" } .
//	plain    = any characters but blanks, ( ) and quotes .
//	quoted   = `"` { any character but " and \ | escape } `"` .
//	escape   = `\"` | `\\` | `\n` | `\r` | `\t` .
//
// A value is a field's if a name and a colon stand before it; what has a colon in
// it and is free text needs quotes. A * outside of quotes stands for anything, also
// nothing. A query that is only * selects everything, as the empty one does.
//
// # Values
//
// What a field's values are is its [Kind]. Names are matched as a whole, case and
// all: topic:orders is not topic:orders.eu, which topic:orders* finds. Texts are
// searched for what is in them, in any case. Numbers are exact at any length.
//
// Times are 2026, 2026-11, 2026-11-20, 2026-11-20T15:04 and so on to the nanosecond,
// in UTC unless a zone follows, today, yesterday, now, and now-15m. What stands for a
// day means all of it: failed:2026-11-20 is within, failed:>2026-11-20 from the next
// day on. Durations are 90s, 15m, 1h30m, 2d, 1w. A letter without such a time is
// found by neither > nor <.
//
// A payload is searched as a text, with payload:, or looked into with a path if it
// is JSON: payload.items.0.sku, where a number in an array is an index, counted from
// 0; any other step is taken from each element, so that payload.items.sku:x holds if
// one of them is x. A * is any element or member. Values are matched as text, but
// numbers as numbers: 1.0 is 1. With > and <, numbers compare with numbers, and with
// texts that are numbers; times with texts that are times.
package search

// Limits of a query.
const (
	// MaxText is its length in bytes, MaxTerms the number of its terms, and
	// MaxDepth how deep parentheses and negations may stand in each other.
	MaxText  = 4096
	MaxTerms = 200
	MaxDepth = 50
)
