// Package bench compares engine/nats with the bare client and with Watermill's adapters,
// on one server in this process, with events of 128 bytes: published and handled, with
// every one acknowledged both ways. It is a module of its own, so that users do not get
// the rivals.
//
//	go test -run '^$' -bench . -benchtime 100000x -count 6
//
// What differs in guarantees: all are at least once, and acknowledge each message by
// itself. The bare client waits for no answer to its acknowledgments, nor do Watermill's
// adapters as set here; ours waits for one with each batch. Ours and BareDedup have an ID
// that the server stores once; ours has the headers of CloudEvents.
package bench
