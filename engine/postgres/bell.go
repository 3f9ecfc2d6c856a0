package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// A commit with a NOTIFY takes a lock that all such commits of a server share, so
	// what is stored has none in its transaction: one is sent for all that came in this
	// time.
	ringGap = 5 * time.Millisecond

	listenPing  = 20 * time.Second
	listenLimit = 5 * time.Second
	listenFirst = 50 * time.Millisecond
	listenAgain = 5 * time.Second
)

// BellConfig describes a [Bell]. All but Listen and OnConnect is required.
type BellConfig struct {
	Pool    *pgxpool.Pool
	Channel string // an identifier, without quotes in it
	// Listen is Config.Listen.
	Listen string
	// OnConnect is called when the session that listens has begun, before what was
	// missed is rung for; its error ends the session, which begins again.
	OnConnect func(ctx context.Context) error
	// OnRing is called for each that is heard, with its payload, or with all if some
	// may not have been heard. It must be quick.
	OnRing func(payload string, all bool)
	// OnError is Config.OnError.
	OnError func(error)
}

// Bell tells other processes by LISTEN and NOTIFY that there is something to be read.
// It is for those who look by themselves, too: a ring can be lost. It is what this
// engine and our other stores on PostgreSQL have in common. Methods are safe for
// concurrent use.
type Bell struct {
	cfg  BellConfig
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	mu    sync.Mutex
	dirty map[string]struct{}
	some  chan struct{} // has room for one
}

// NewBell begins to listen, unless Listen is [ListenNone].
func NewBell(cfg BellConfig) *Bell {
	b := &Bell{cfg: cfg, dirty: map[string]struct{}{}, some: make(chan struct{}, 1)}
	b.life, b.end = context.WithCancel(context.Background())
	if cfg.Listen != ListenNone {
		b.work.Go(b.listen)
		b.work.Go(b.ring)
	}
	return b
}

// Close ends what the bell has started, and waits for that.
func (b *Bell) Close() {
	b.end()
	b.work.Wait()
}

// Ring has others hear soon. It does not wait.
func (b *Bell) Ring(payload string) {
	if b.cfg.Listen == ListenNone {
		return
	}
	b.mu.Lock()
	b.dirty[payload] = struct{}{}
	b.mu.Unlock()
	select {
	case b.some <- struct{}{}:
	default:
	}
}

func (b *Bell) ring() {
	const query = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, u) FROM unnest($2::text[]) u"
	for {
		select {
		case <-b.life.Done():
			return
		case <-b.some:
		}
		b.mu.Lock()
		payloads := make([]string, 0, len(b.dirty))
		for p := range b.dirty {
			payloads = append(payloads, p)
		}
		clear(b.dirty)
		b.mu.Unlock()
		ctx, cancel := context.WithTimeout(b.life, listenLimit)
		_, err := b.cfg.Pool.Exec(ctx, query, b.cfg.Channel, payloads)
		cancel()
		if err != nil && b.life.Err() == nil {
			b.cfg.OnError(Fault(b.life, "notify", err))
		}
		sleep(b.life, ringGap)
	}
}

// listen is the session that hears. It comes back by itself.
func (b *Bell) listen() {
	for pause := listenFirst; b.life.Err() == nil; pause = min(2*pause, listenAgain) {
		heard, err := b.hear()
		if b.life.Err() != nil {
			return
		}
		if heard {
			pause = listenFirst
		}
		b.cfg.OnError(Fault(b.life, "listen", err))
		sleep(b.life, pause)
	}
}

// hear returns when its session has ended, and whether it had begun.
func (b *Bell) hear() (heard bool, err error) {
	pool := b.cfg.Pool.Config()
	cfg := pool.ConnConfig
	if b.cfg.Listen != "" {
		if cfg, err = pgx.ParseConfig(b.cfg.Listen); err != nil {
			return false, err
		}
	} else if pool.BeforeConnect != nil {
		// It may be where the password of the hour comes from.
		if err := b.limited(func(ctx context.Context) error { return pool.BeforeConnect(ctx, cfg) }); err != nil {
			return false, err
		}
	}
	var c *pgx.Conn
	if err := b.limited(func(ctx context.Context) (err error) { c, err = pgx.ConnectConfig(ctx, cfg); return err }); err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.life), time.Second)
		defer cancel()
		c.Close(ctx)
	}()
	err = b.limited(func(ctx context.Context) error {
		_, err := c.Exec(ctx, fmt.Sprintf("LISTEN %q", b.cfg.Channel))
		return err
	})
	if err == nil && b.cfg.OnConnect != nil {
		err = b.limited(b.cfg.OnConnect)
	}
	if err != nil {
		return false, err
	}
	b.cfg.OnRing("", true) // what came in between nobody has told
	for {
		ctx, cancel := context.WithTimeout(b.life, listenPing)
		told, err := c.WaitForNotification(ctx)
		quiet := ctx.Err() != nil && b.life.Err() == nil && !c.IsClosed()
		cancel()
		switch {
		case err == nil:
			b.cfg.OnRing(told.Payload, false)
		case !quiet:
			return true, err
		default:
			// A network that lets nothing through looks as quiet as one with no news.
			if err := b.limited(c.Ping); err != nil {
				return true, err
			}
		}
	}
}

func (b *Bell) limited(fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(b.life, listenLimit)
	defer cancel()
	return fn(ctx)
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
