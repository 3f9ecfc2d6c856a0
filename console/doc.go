// Package console shows a runtime and its dead letters in the browser, and lets
// operators act on them: an [http.Handler] with pages, a JSON API with an OpenAPI
// description at api/v1/openapi.json, and a stream of events.
//
//	c, err := console.New(rt, console.Config{})
//	...
//	defer c.Close(ctx)
//	http.Handle("/ops/", http.StripPrefix("/ops", c))
//
// It mounts below any prefix without being told: every address in the pages is
// relative. Everything is in the binary, nothing is loaded from elsewhere.
//
// # Security
//
// The zero [Config] shows everything to everybody who can reach the handler, and
// lets nobody change anything. What a caller may do is decided on the server, for
// every action and topic, by Config.Authorize: names and counts, payloads and
// errors, control of subscribers, and changes are rights apart. Without the right
// to payloads, they are left out of whatever is sent. Changes are POST requests
// with a JSON body from the same origin. Pages run under a content security
// policy without inline code and with trusted types, so that what an event says
// is only ever text. See Config.Hosts for what protects a console on localhost.
//
// # The API
//
// Package console/client calls it with the methods of ops.Desk. An answer that is
// not 2xx is a JSON object with error, and where they apply code, field, column
// and fix.
package console
