package search

import (
	"strconv"
	"strings"
)

// Number is an exact decimal number of any length: 9007199254740993 is not
// 9007199254740992, as it would be for a float64. Equal numbers are equal under ==,
// however they were written. The zero Number is 0.
type Number struct {
	// The number is 0.digits times ten to the power of exp; digits begins and ends
	// with a digit other than 0, and is empty for 0.
	negative bool
	digits   string
	exp      int64
}

// maxExp is beyond every exponent that fits in a text; with larger ones numbers
// count as equally large.
const maxExp = 1 << 60

// ParseNumber reads a number as in JSON: digits, perhaps a sign before them, a
// fraction and an exponent behind.
func ParseNumber(text string) (Number, bool) {
	var n Number
	rest := text
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		n.negative, rest = rest[0] == '-', rest[1:]
	}
	whole, rest := leadingDigits(rest)
	if whole == "" {
		return Number{}, false
	}
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		if fraction, rest = leadingDigits(rest[1:]); fraction == "" {
			return Number{}, false
		}
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		digits, end := leadingDigits(strings.TrimLeft(rest[1:], "+-"))
		if digits == "" || end != "" || len(rest)-1-len(digits) > 1 {
			return Number{}, false
		}
		e, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || e > maxExp {
			e = maxExp
		}
		if rest[1] == '-' {
			e = -e
		}
		n.exp, rest = e, ""
	}
	if rest != "" {
		return Number{}, false
	}
	all := whole + fraction
	n.digits = strings.TrimLeft(all, "0")
	n.exp += int64(len(whole) - (len(all) - len(n.digits)))
	if n.digits = strings.TrimRight(n.digits, "0"); n.digits == "" {
		return Number{}, true
	}
	return n, true
}

// IntNumber returns the number of an integer.
func IntNumber(i int64) Number {
	n, _ := ParseNumber(strconv.FormatInt(i, 10))
	return n
}

// UintNumber returns the number of an unsigned integer.
func UintNumber(i uint64) Number {
	n, _ := ParseNumber(strconv.FormatUint(i, 10))
	return n
}

// Compare returns -1, 0 or 1, as n is less than, equal to, or greater than m.
func (n Number) Compare(m Number) int {
	sign := func(n Number) int {
		switch {
		case n.digits == "":
			return 0
		case n.negative:
			return -1
		}
		return 1
	}
	s, t := sign(n), sign(m)
	switch {
	case s != t:
		return compareInts(int64(s), int64(t))
	case s == 0:
		return 0
	case n.exp != m.exp:
		return s * compareInts(n.exp, m.exp)
	}
	return s * strings.Compare(n.digits, m.digits)
}

// Floor returns the largest integer that is not greater than n, and whether n is
// that integer. Beyond the range of an int64 it is the nearest there is.
func (n Number) Floor() (i int64, exact bool) {
	if n.digits == "" {
		return 0, true
	}
	const low, high = -1 << 63, 1<<63 - 1
	switch {
	case n.exp > 19 && n.negative:
		return low, false
	case n.exp > 19:
		return high, false
	case n.exp <= 0 && n.negative:
		return -1, false
	case n.exp <= 0:
		return 0, false
	}
	whole := n.digits
	exact = int64(len(whole)) <= n.exp
	if exact {
		whole += strings.Repeat("0", int(n.exp)-len(whole))
	} else {
		whole = whole[:n.exp]
	}
	sign := ""
	if n.negative {
		sign = "-"
	}
	i, err := strconv.ParseInt(sign+whole, 10, 64)
	if err != nil {
		return i, false // ParseInt gives the nearest
	}
	if n.negative && !exact {
		if i == low {
			return low, false
		}
		i--
	}
	return i, exact
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func leadingDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}
