package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// A commit with a NOTIFY takes a lock that all such commits of a server share, so
	// publications do not have one: one is sent for all that came in this time.
	notifyGap = 5 * time.Millisecond

	listenPing  = 20 * time.Second
	listenLimit = 5 * time.Second
	listenAgain = 5 * time.Second
)

// notifier tells other processes that a topic has something.
type notifier struct {
	e     *Engine
	mu    sync.Mutex
	dirty map[int32]struct{}
	some  chan struct{} // has room for one
}

func newNotifier(e *Engine) *notifier {
	return &notifier{e: e, dirty: map[int32]struct{}{}, some: make(chan struct{}, 1)}
}

// published wakes who may have use for it, here at once and elsewhere soon.
func (e *Engine) published(topic int32) {
	e.wake(topic)
	if e.cfg.Listen == ListenNone {
		return
	}
	n := e.notify
	n.mu.Lock()
	n.dirty[topic] = struct{}{}
	n.mu.Unlock()
	select {
	case n.some <- struct{}{}:
	default:
	}
}

func (n *notifier) run() {
	query := "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, u::text) FROM unnest($2::integer[]) u"
	for {
		select {
		case <-n.e.life.Done():
			return
		case <-n.some:
		}
		n.mu.Lock()
		topics := make([]int32, 0, len(n.dirty))
		for topic := range n.dirty {
			topics = append(topics, topic)
		}
		clear(n.dirty)
		n.mu.Unlock()
		ctx, cancel := n.e.background(listenLimit)
		// What is not told is found by those who look.
		if _, err := n.e.pool.Exec(ctx, query, n.e.channel(), topics); err != nil && n.e.life.Err() == nil {
			n.e.cfg.OnError(fault(ctx, "notify", err))
		}
		cancel()
		sleep(n.e.life, notifyGap)
	}
}

// listen is the session that hears of what others publish. It comes back by itself.
func (e *Engine) listen() {
	for pause := 50 * time.Millisecond; e.life.Err() == nil; pause = min(2*pause, listenAgain) {
		heard, err := e.hear()
		if e.life.Err() != nil {
			return
		}
		if heard {
			pause = 50 * time.Millisecond
		}
		e.cfg.OnError(fault(e.life, "listen", err))
		sleep(e.life, pause)
	}
}

// hear returns when its session has ended, and whether it had begun.
func (e *Engine) hear() (heard bool, err error) {
	cfg := e.pool.Config().ConnConfig
	if e.cfg.Listen != "" {
		if cfg, err = pgx.ParseConfig(e.cfg.Listen); err != nil {
			return false, err
		}
	}
	ctx, cancel := e.background(listenLimit)
	c, err := pgx.ConnectConfig(ctx, cfg)
	cancel()
	if err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.life), time.Second)
		defer cancel()
		c.Close(ctx)
	}()
	ctx, cancel = e.background(listenLimit)
	_, err = c.Exec(ctx, fmt.Sprintf("LISTEN %q", e.channel()))
	cancel()
	if err != nil {
		return false, err
	}
	// The server may be another than before, with a count of its own, and what was
	// published in between nobody has told.
	ctx, cancel = e.background(listenLimit)
	err = e.refence(ctx)
	cancel()
	if err != nil {
		return false, err
	}
	e.wakeAll()
	for {
		ctx, cancel := e.background(listenPing)
		told, err := c.WaitForNotification(ctx)
		idle := ctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			if id, err := strconv.ParseInt(told.Payload, 10, 32); err == nil {
				e.wake(int32(id))
			}
		case e.life.Err() != nil:
			return true, err
		case idle && !c.IsClosed():
			// A network that lets nothing through looks as quiet as one with no news.
			ctx, cancel := e.background(listenLimit)
			err := c.Ping(ctx)
			cancel()
			if err != nil {
				return true, err
			}
		default:
			return true, errors.Join(err)
		}
	}
}

// sleep returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
