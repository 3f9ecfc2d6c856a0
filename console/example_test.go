package console_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/runtime"
)

// Without a configuration, the console is for looking only.
func ExampleNew() {
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	c, err := console.New(rt, console.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ops/dlq/", http.StripPrefix("/ops/dlq", c))
	server := httptest.NewServer(mux)
	resp, err := http.Get(server.URL + "/ops/dlq/api/v1/verify")
	if err != nil {
		log.Fatal(err)
	}
	data, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Print(string(data))
	resp, err = http.Post(server.URL+"/ops/dlq/api/v1/operation/cancel", "application/json", nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	fmt.Println("to change something:", resp.Status)

	server.Close()
	if _, err := rt.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := c.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {"added":0,"open":0,"redriving":0,"resolved":0,"archived":0,"deleted":0,"expired":0,"dropped":0,"bytes":0,"fill":0}
	// to change something: 400 Bad Request
}

// Who may do what is decided for every action and topic, here by who is signed in.
func ExampleConfig() {
	user := func(r *http.Request) string { return r.Header.Get("X-User") } // set by the proxy that signs in
	_ = console.Config{
		Environment: "production",
		User:        user,
		Authorize: func(r *http.Request, a console.Action) error {
			switch {
			case user(r) == "":
				return fmt.Errorf("sign in first")
			case a.Topic == "patients" && a.Right == console.Payload:
				return fmt.Errorf("patients are nobody's business")
			case a.Right == console.Metadata || a.Right == console.Payload || user(r) == "ann":
				return nil
			}
			return fmt.Errorf("ann may")
		},
	}
}
