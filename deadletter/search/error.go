package search

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where and why a text is no query, and what would be one.
type SyntaxError struct {
	// Text is the query.
	Text string
	// Offset is where the fault is, in bytes from 0. Column is the same in
	// characters from 1.
	Offset, Column int
	// Found is what stands there, empty at the end of the text.
	Found string
	// Expected are what may stand there instead, if that can be said in few words.
	Expected []string
	// Message says what is wrong, without the column.
	Message string
	// Suggestion is what was probably meant, if something is near.
	Suggestion string
}

// Error gives the column, the message and the suggestion.
func (e *SyntaxError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "column %d: %s", e.Column, e.Message)
	if len(e.Expected) > 0 {
		fmt.Fprintf(&b, "; expected %s", strings.Join(e.Expected, ", "))
	}
	if e.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %s?", e.Suggestion)
	}
	return b.String()
}

// Pointer returns two lines: the query, and a ^ below the column. Both are of
// printable characters only.
func (e *SyntaxError) Pointer() string {
	printable := strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r == 0x7f {
			return ' '
		}
		return r
	}, e.Text)
	return printable + "\n" + strings.Repeat(" ", e.Column-1) + "^"
}

// column returns the column of an offset.
func column(text string, offset int) int { return utf8.RuneCountInString(text[:offset]) + 1 }

// nearest returns the candidate that word was probably meant to be, or "".
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return ""
	}
	best, least := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		d := distance(word, c)
		if len(word) >= 3 && strings.HasPrefix(c, word) {
			d = min(d, 1)
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove, replace or swap with their
// neighbor (optimal string alignment, as of Damerau and Levenshtein).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
