package nats

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"

	"github.com/troupe-go/troupe/engine"
)

// embedded is the server in this process. Its connections are made by InProcessConn,
// which gives those of the server that runs now: clients reconnect through it when
// the server was restarted.
type embedded struct {
	cfg  Config
	log  *zap.Logger
	held *os.File // the lock
	// unclean is that the process that had the folder before has not closed it.
	unclean bool

	mu     sync.Mutex
	ns     *server.Server
	closed bool

	errs     atomic.Bool           // the server has said something of errors
	why      atomic.Pointer[error] // it stores nothing now
	fail     func(error)           // tells those who wait for it to store something
	restarts atomic.Int64
	quit     chan struct{}
	work     sync.WaitGroup
}

const (
	startTimeout = 20 * time.Second
	// How often the server is asked whether it has given up on the disk, how long
	// it waits at most between two attempts to go on, and what must fit on the disk
	// before it is tried.
	watchEvery  = 200 * time.Millisecond
	restartMost = 10 * time.Second
	probeBytes  = 4 << 20
)

var errStopped = errors.New("nats: the server in this process is not running")

func startEmbedded(cfg Config) (*embedded, error) {
	held, err := lock(cfg.Folder)
	if err != nil {
		return nil, err
	}
	b := &embedded{
		cfg: cfg, log: cfg.Log.With(zap.String("folder", cfg.Folder)), held: held,
		quit: make(chan struct{}),
	}
	if b.ns, err = b.start(); err == nil {
		err = b.begun()
	}
	if err != nil {
		if b.ns != nil {
			b.ns.Shutdown()
			b.ns.WaitForShutdown()
		}
		held.Close()
		return nil, err
	}
	return b, nil
}

// runningName is a file that is in the folder while it is open, and afterwards if the
// process was killed.
const runningName = "running"

func (b *embedded) begun() error {
	name := filepath.Join(b.cfg.Folder, runningName)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		b.unclean = true
		return nil
	}
	if err != nil {
		return folderFault(b.cfg.Folder, err)
	}
	return f.Close()
}

// options are explicit where the server would look at the machine: how much it may
// store and hold is what the config says, and not a part of what is there.
func (b *embedded) options() (*server.Options, error) {
	c := &b.cfg
	o := &server.Options{
		ServerName:         "troupe",
		JetStream:          true,
		StoreDir:           c.Folder,
		JetStreamMaxStore:  c.MaxStore,
		JetStreamMaxMemory: 64 << 20, // nothing of ours is kept in memory
		MaxPayload:         int32(c.MaxRecord + recordSlack),
		SyncInterval:       c.SyncInterval,
		SyncAlways:         c.Mode == PowerSafe,
		DontListen:         true,
		NoSigs:             true, // signals are the program's
		NoSystemAccount:    false,
	}
	// What a client may have waiting must hold the largest record some times over.
	o.MaxPending = int64(max(server.MAX_PENDING_SIZE, 4*int(o.MaxPayload)))
	if c.Listen != "" {
		host, port, err := hostPort(c.Listen)
		if err != nil {
			return nil, err
		}
		o.DontListen, o.Host, o.Port = false, host, port
	}
	if c.Cluster.on() {
		host, port, err := hostPort(c.Cluster.Listen)
		if err != nil {
			return nil, err
		}
		o.ServerName = c.Cluster.Node
		o.Cluster = server.ClusterOpts{Name: c.Cluster.Name, Host: host, Port: port}
		for _, p := range c.Cluster.Peers {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: p})
		}
		// A server that does not listen for clients waits with its routes for
		// that it does, and so for ever.
		if o.DontListen {
			o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
		}
	}
	if c.Server != nil {
		c.Server(o)
	}
	return o, nil
}

func hostPort(address string) (string, int, error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return "", 0, fmt.Errorf("nats: port %q: must be a number", p)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

func (b *embedded) start() (*server.Server, error) {
	o, err := b.options()
	if err != nil {
		return nil, err
	}
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("nats: folder %s: %w", b.cfg.Folder, err)
	}
	l := &serverLog{log: b.log, errs: &b.errs}
	ns.SetLoggerV2(l, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(startTimeout) || !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		if b.lacksSpace() {
			return nil, fmt.Errorf("nats: folder %s: the server in this process does not start: %w: make room on the disk: %s", b.cfg.Folder, engine.ErrFull, l.last())
		}
		return nil, fmt.Errorf("nats: folder %s: the server in this process does not start: %w: %s", b.cfg.Folder, engine.ErrUnavailable, l.last())
	}
	return ns, nil
}

// InProcessConn is how the client connects: nats.InProcessConnProvider.
func (b *embedded) InProcessConn() (net.Conn, error) {
	b.mu.Lock()
	ns, closed := b.ns, b.closed
	b.mu.Unlock()
	if ns == nil || closed {
		return nil, errStopped
	}
	return ns.InProcessConn()
}

// watched begins to watch the server. fail is told when it stores nothing any more.
func (b *embedded) watched(fail func(error)) {
	b.fail = fail
	b.work.Go(b.watch)
}

// watch restarts a server that has given up on a full disk when there is room again:
// of a stream it says that it cannot be written, or of itself that JetStream is
// disabled, and stays so whatever room there is.
func (b *embedded) watch() {
	wait := watchEvery
	for {
		select {
		case <-b.quit:
			return
		case <-time.After(wait):
		}
		b.mu.Lock()
		ns := b.ns
		b.mu.Unlock()
		why := b.gaveUp(ns)
		if why == "" {
			b.why.Store(nil)
			wait = watchEvery
			continue
		}
		lacks := b.lacksSpace()
		if b.why.Load() == nil {
			b.log.Error("the server has given up on its files", zap.String("said", why), zap.Bool("disk_full", lacks))
			// What it has not answered it will not.
			fault := fmt.Errorf("%w: the server in this process has given up on its files in %s: it is started again, and what was on its way may be stored: %s", engine.ErrUnavailable, b.cfg.Folder, why)
			if lacks {
				fault = fmt.Errorf("%w: the disk of %s has no room: make some, and it goes on by itself: %s", engine.ErrFull, b.cfg.Folder, why)
			}
			b.why.Store(&fault)
			b.fail(fault)
		}
		wait = min(2*wait, restartMost)
		if lacks {
			wait = min(wait, time.Second)
			continue
		}
		b.restart(ns)
	}
}

// gaveUp returns what the server says of a file it cannot write, or "".
func (b *embedded) gaveUp(ns *server.Server) string {
	if ns == nil || !ns.JetStreamEnabled() {
		return "JetStream is disabled"
	}
	if !b.errs.Swap(false) && b.why.Load() == nil {
		return ""
	}
	for _, e := range ns.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(e.Error, "write error") {
			return e.Error
		}
	}
	return ""
}

// spent returns why the server does not store anything now, or nil.
func (b *embedded) spent() error {
	if why := b.why.Load(); why != nil {
		return *why
	}
	return nil
}

// lacksSpace reports whether probeBytes cannot be written to the folder.
func (b *embedded) lacksSpace() bool {
	name := filepath.Join(b.cfg.Folder, "probe")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return true
	}
	defer os.Remove(name)
	defer f.Close()
	block := make([]byte, 64<<10)
	for range probeBytes / len(block) {
		if _, err := f.Write(block); err != nil {
			return true
		}
	}
	return f.Sync() != nil
}

func (b *embedded) restart(old *server.Server) {
	if old != nil {
		old.Shutdown()
		old.WaitForShutdown()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ns = nil
	if b.closed {
		return
	}
	ns, err := b.start()
	if err != nil {
		b.log.Warn("the server does not start again yet", zap.Error(err))
		return
	}
	b.ns = ns
	b.restarts.Add(1)
	b.log.Info("the server was started again")
}

// stop ends the server, with everything written, and frees the folder.
func (b *embedded) stop() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	ns := b.ns
	b.mu.Unlock()
	close(b.quit)
	b.work.Wait()
	if ns != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
		_ = os.Remove(filepath.Join(b.cfg.Folder, runningName))
	}
	b.held.Close()
}
