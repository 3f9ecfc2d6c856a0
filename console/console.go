package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// Console is the handler. Its methods are safe for concurrent use.
type Console struct {
	cfg     Config
	desk    *ops.Desk
	own     *ops.Desk // to close
	rt      *runtime.Runtime
	started time.Time
	cross   *http.CrossOriginProtection
	routes  map[string]*route
	openAPI []byte

	tree    treeCache
	series  series
	streams streams

	stop    context.CancelFunc
	stopped chan struct{} // closed when the sampler has ended
	close   sync.Once
}

// New makes the console of a runtime, which may be nil if Config.Desk is set: then
// it shows the desk's letters and no tree.
//
// Without Config.Desk it makes a desk of its own, which goes on with operations
// that an earlier process had begun; that fails unless the runtime's store is a
// deadletter.Ledger. A console has a goroutine that takes the figures of its
// charts until Close.
//
// Errors: those of the Config, all at once; those of ops.New.
func New(rt *runtime.Runtime, cfg Config) (*Console, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	var own *ops.Desk
	if cfg.Desk == nil {
		if rt == nil {
			return nil, errors.New("console: Config.Desk nil: must be set if there is no runtime")
		}
		var err error
		if own, err = ops.New(rt, ops.Config{}); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		cfg.Desk = own
	}
	c := newConsole(rt, cfg)
	c.own = own
	return c, nil
}

func newConsole(rt *runtime.Runtime, cfg Config) *Console {
	c := &Console{
		cfg: cfg, desk: cfg.Desk, rt: rt, started: time.Now(), cross: http.NewCrossOriginProtection(),
		routes: map[string]*route{}, stopped: make(chan struct{}),
	}
	for _, r := range routes {
		c.routes[r.path] = &r
	}
	c.openAPI = describe(routes)
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.streams.init(cfg.MaxStreams)
	if rt == nil || cfg.Sample == NoSamples {
		close(c.stopped)
		return c
	}
	c.series.init(cfg.Sample)
	go func() {
		defer close(c.stopped)
		c.sample(ctx)
	}()
	return c
}

// Close ends the streams of events and the sampler, and closes the desk that New
// has made, if any. What is asked of it later is answered with status 503. It may
// be called more than once.
func (c *Console) Close(ctx context.Context) error {
	c.close.Do(func() {
		c.stop()
		c.streams.end()
	})
	select {
	case <-c.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.own != nil {
		return c.own.Close(ctx)
	}
	return nil
}

// name returns what the runtime is called, and where it runs.
func (c *Console) name() (name, node string) {
	if c.rt != nil {
		name = c.rt.Name()
	}
	node, _ = os.Hostname()
	return cmp.Or(name, "troupe"), node
}
