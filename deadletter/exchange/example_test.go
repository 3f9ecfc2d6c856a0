package exchange_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/exchange"
)

// A letter of production is brought to a laptop; the line that is none is named.
func ExampleImport() {
	store, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	file := `{"id":"01JD3X","topic":"orders","subscriber":"billing","sequence":7,"reason":"panic","attempt_count":3,"state":"open"}
not a letter
`
	im, err := exchange.Import(context.Background(), store, strings.NewReader(file), exchange.JSONLines, "prod.jsonl")
	fmt.Println(im.Added, "added,", im.Faulty, "faulty,", err)
	for _, f := range im.Faults {
		fmt.Println(f)
	}
	// Output:
	// 1 added, 1 faulty, <nil>
	// line 2: invalid character 'o' in literal null (expecting 'u')
}

func ExampleWriter() {
	w, err := exchange.NewWriter(os.Stdout, exchange.JSONLines)
	if err == nil {
		err = w.Write(deadletter.Letter{ID: "01JD3X", Topic: "orders", Subscriber: "billing", Fingerprint: "0123456789abcdef"})
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output: {"id":"01JD3X","topic":"orders","subscriber":"billing","sequence":0,"reason":"","attempt_count":0,"fingerprint":"0123456789abcdef","state":"open"}
}
