// Package client does on another process's console what package ops does in this
// one: the methods of a [Client] are those of an ops.Desk.
//
//	c, err := client.New(client.Config{URL: "http://localhost:8080/ops/"})
//	page, err := c.Letters(ctx, "topic:orders.* age:>1h", "", 0)
//
// Errors of the server are of type *[Error]; errors.Is finds deadletter.ErrNotFound
// and the like in them.
package client
