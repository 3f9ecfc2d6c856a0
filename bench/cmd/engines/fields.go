package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var field = regexp.MustCompile(`(\w+)=("[^"]*"|\S+)`)

// logged returns the fields of the lines that a test has logged with that first word:
// 'outage_test.go:66: policy name=block lost=0'.
func logged(out, word string) (lines []map[string]string) {
	for line := range strings.Lines(out) {
		_, text, ok := strings.Cut(line, ".go:")
		if !ok {
			continue
		}
		_, text, ok = strings.Cut(text, ": ")
		if !ok || !strings.HasPrefix(text, word+" ") {
			continue
		}
		fields := map[string]string{}
		for _, m := range field.FindAllStringSubmatch(text, -1) {
			fields[m[1]] = strings.Trim(m[2], `"`)
		}
		lines = append(lines, fields)
	}
	return lines
}

func number(text string) float64 {
	v, _ := strconv.ParseFloat(text, 64)
	return v
}

func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}
