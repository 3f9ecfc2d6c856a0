package nats

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// The names of streams and consumers may have no dots, which topics and groups have:
// a dot is written as "_", what else is not fit, and "_", as "=" and its number.
// Different names stay different.
func escapeName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			b.WriteByte('_')
		case fitName(c):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

func fitName(c byte) bool {
	return c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func validPrefix(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !fitName(c) && c != '_' && (c != '.' || i == 0 || s[i-1] == '.') {
			return false
		}
	}
	return true
}

// validTopic is what topics and groups are: parts of letters, digits, '-' and '_',
// with single dots between them.
func validTopic(s string) bool {
	return s != "" && validPrefix(s) && s[len(s)-1] != '.'
}

// subjects returns those of a topic: the first is for records without a key, the
// others are its partitions. "#" is not in the name of any topic.
func subjects(subject string, partitions int) []string {
	all := []string{subject}
	for p := range partitions {
		all = append(all, subject+"#"+strconv.Itoa(p))
	}
	return all
}

// partition returns the index of the subject for key among n subjects. It is FNV-1a
// of 64 bits, and must never change: the records of a key would part.
func partition(key string, n int) int {
	if key == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	return 1 + int(h.Sum64()%uint64(n-1))
}
