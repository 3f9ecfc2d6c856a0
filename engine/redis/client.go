package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Every subscription that waits holds a connection, so the pool is no limit; what it
// keeps of those that nobody uses is.
const (
	poolSize = 1024
	idle     = 16
)

// client is a connection pool whose calls end with their contexts.
type client struct {
	goredis.UniversalClient
}

func dial(url string, options *goredis.UniversalOptions) (*client, error) {
	o, err := universal(url, options)
	if err != nil {
		return nil, err
	}
	// What comes again is for the caller to decide: an entry that was stored and not
	// acknowledged would be stored twice.
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	o.Protocol = 2 // replies have the same form from every server
	o.DisableIdentity = true
	if o.PoolSize == 0 {
		o.PoolSize = poolSize
		if o.MaxIdleConns == 0 {
			o.MaxIdleConns = idle
		}
	}
	return &client{goredis.NewUniversalClient(o)}, nil
}

// universal is a copy of the options, or what the URL says.
func universal(url string, options *goredis.UniversalOptions) (*goredis.UniversalOptions, error) {
	if options != nil {
		o := *options
		o.Addrs = slices.Clone(o.Addrs)
		return &o, nil
	}
	p, err := goredis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	o := &goredis.UniversalOptions{
		Addrs: []string{p.Addr}, Username: p.Username, Password: p.Password, DB: p.DB, TLSConfig: p.TLSConfig,
		ClientName: p.ClientName, DialTimeout: p.DialTimeout, ReadTimeout: p.ReadTimeout, WriteTimeout: p.WriteTimeout,
		PoolSize: p.PoolSize, PoolTimeout: p.PoolTimeout, MaxIdleConns: p.MaxIdleConns, MinIdleConns: p.MinIdleConns,
		ConnMaxIdleTime: p.ConnMaxIdleTime, ConnMaxLifetime: p.ConnMaxLifetime,
	}
	if p.Network == "unix" {
		dialer := &net.Dialer{Timeout: 5 * time.Second}
		o.Dialer = func(ctx context.Context, _, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", addr)
		}
	}
	return o, nil
}

// within returns what f returns, or the cause of ctx when that ends before. f then goes
// on by itself, until the server answers or the client's timeout: it must own what it
// uses. The client sees deadlines, and no cancellations.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	var none T
	if ctx.Done() == nil {
		return f()
	}
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			r.err = errors.Join(context.Cause(ctx), r.err)
		}
		return r.value, r.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// call is one command: a script with its keys and arguments, or without a script the
// words of a command.
type call struct {
	script *script
	keys   []string
	args   []any
}

func (c call) words(whole bool) []any {
	if c.script == nil {
		return c.args
	}
	words := make([]any, 0, 3+len(c.keys)+len(c.args))
	if whole {
		words = append(words, "EVAL", c.script.source)
	} else {
		words = append(words, "EVALSHA", c.script.hash)
	}
	words = append(words, len(c.keys))
	for _, k := range c.keys {
		words = append(words, k)
	}
	return append(words, c.args...)
}

// do sends calls in one pipeline and returns what each was answered. Scripts that the
// server does not have, as after a restart, are sent whole: they have done nothing.
func (c *client) do(ctx context.Context, calls []call) []*goredis.Cmd {
	answers := make([]*goredis.Cmd, len(calls))
	c.send(ctx, calls, answers, false)
	again := false
	for i, a := range answers {
		if err := a.Err(); err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
			answers[i] = nil
			again = true
		}
	}
	if again {
		c.send(ctx, calls, answers, true)
	}
	return answers
}

func (c *client) send(ctx context.Context, calls []call, answers []*goredis.Cmd, whole bool) {
	// A pipeline of one would be a transaction's worth of work for nothing.
	if len(calls) == 1 {
		answers[0] = c.Do(ctx, calls[0].words(whole)...)
		return
	}
	p := c.Pipeline()
	for i := range calls {
		if answers[i] == nil {
			answers[i] = p.Do(ctx, calls[i].words(whole)...)
		}
	}
	// Each answer has its error, and the first is what Exec returns.
	_, _ = p.Exec(ctx)
}
