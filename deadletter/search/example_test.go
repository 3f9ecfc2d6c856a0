package search_test

import (
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/deadletter/search"
)

func ExampleParse() {
	e, err := search.Parse(`subscriber:billing (error:"timeout" OR payload.order.id:123) NOT state:resolved age:>1h`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e)
	// Output: sub:billing (err:timeout or payload.order.id:123) -state:resolved age:>1h
}

func ExampleSyntaxError() {
	_, err := search.Parse("sub:billing stat:open")
	if se, ok := errors.AsType[*search.SyntaxError](err); ok {
		fmt.Println(se)
		fmt.Println(se.Pointer())
	}
	// Output:
	// column 13: no field "stat"; a text with a colon in it needs quotes; did you mean state?
	// sub:billing stat:open
	//             ^
}

func ExampleComplete() {
	for _, s := range search.Complete("sub:billing sta", 15).Suggestions {
		fmt.Println(s.Text, s.About)
	}
	// Output:
	// state: what is left to do: open, redriving, resolved, archived, deleted
	// stack: the stack of the panic
}
