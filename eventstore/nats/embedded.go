package nats

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/troupe-go/troupe/engine"
)

const (
	startTimeout = 20 * time.Second
	// How often it is tried to go on after a full disk, and what must fit on it before.
	watchEvery = 200 * time.Millisecond
	probeBytes = 4 << 20
)

// embedded is the server in this process. Connections are made by InProcessConn, which
// gives those of the server that runs now.
type embedded struct {
	cfg  Config
	held *os.File
	why  atomic.Pointer[error] // it stores nothing now
	look chan struct{}         // has one when it was found to have given up
	quit chan struct{}
	work sync.WaitGroup

	mu     sync.Mutex
	ns     *server.Server // nil while it does not run
	closed bool
}

func startEmbedded(cfg Config) (*embedded, error) {
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		return nil, folderFault(cfg.Folder, err)
	}
	held, err := lock(filepath.Join(cfg.Folder, "lock"))
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("eventstore/nats: folder %s: %w: stop the other process or store, choose another folder, or open this one with Config.JetStream or URL", cfg.Folder, engine.ErrInUse)
	}
	if err != nil {
		return nil, folderFault(cfg.Folder, err)
	}
	e := &embedded{cfg: cfg, held: held, look: make(chan struct{}, 1), quit: make(chan struct{})}
	if e.ns, err = e.start(); err != nil {
		held.Close()
		return nil, err
	}
	e.work.Go(e.watch)
	return e, nil
}

func (e *embedded) start() (*server.Server, error) {
	ns, err := server.NewServer(&server.Options{
		ServerName: "troupe-events", JetStream: true, StoreDir: e.cfg.Folder,
		JetStreamMaxStore: e.cfg.MaxStore, JetStreamMaxMemory: 64 << 20,
		SyncInterval: time.Second, SyncAlways: e.cfg.PowerSafe, // its own default is two minutes
		DontListen: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, folderFault(e.cfg.Folder, err)
	}
	ns.Start()
	if !ns.ReadyForConnections(startTimeout) || !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, fmt.Errorf("eventstore/nats: folder %s: the server in this process does not start: look whether the disk is full or the files are another's: %w", e.cfg.Folder, engine.ErrUnavailable)
	}
	return ns, nil
}

// InProcessConn is how the client connects: nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ns == nil || e.closed {
		return nil, natsgo.ErrNoServers
	}
	return e.ns.InProcessConn()
}

// gaveUp returns an error if the server has met a file that it could not write: it
// answers nothing then and does not go on by itself, whatever room there is. It is for
// who has waited for an answer.
func (e *embedded) gaveUp() error {
	if e == nil {
		return nil
	}
	if why := e.why.Load(); why != nil {
		return *why
	}
	e.mu.Lock()
	ns := e.ns
	e.mu.Unlock()
	said := "JetStream is disabled"
	if ns != nil && ns.JetStreamEnabled() {
		said = ""
		for _, one := range ns.Healthz(&server.HealthzOptions{Details: true}).Errors {
			if strings.Contains(one.Error, "write error") {
				said = one.Error
			}
		}
	}
	if said == "" {
		return nil
	}
	err := fmt.Errorf("folder %s: the server in this process cannot write: make room on the disk, and it goes on by itself: %w: %s", e.cfg.Folder, engine.ErrFull, said)
	e.why.Store(&err)
	select {
	case e.look <- struct{}{}:
	default:
	}
	return err
}

// spent is why the server is known to store nothing now.
func (e *embedded) spent() error {
	if e != nil {
		if why := e.why.Load(); why != nil {
			return *why
		}
	}
	return nil
}

// watch starts a server that has given up again when there is room.
func (e *embedded) watch() {
	for {
		select {
		case <-e.look:
		case <-e.quit:
			return
		}
		for again := false; !again; {
			select {
			case <-time.After(watchEvery):
				again = e.room() && e.restart()
			case <-e.quit:
				return
			}
		}
	}
}

// room reports whether probeBytes can be written to the folder.
func (e *embedded) room() bool {
	name := filepath.Join(e.cfg.Folder, "probe")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return false
	}
	defer os.Remove(name)
	defer f.Close()
	_, err = f.Write(make([]byte, probeBytes))
	return err == nil && f.Sync() == nil
}

func (e *embedded) restart() bool {
	e.mu.Lock()
	old := e.ns
	e.ns = nil
	e.mu.Unlock()
	if old != nil {
		old.Shutdown()
		old.WaitForShutdown()
	}
	ns, err := e.start()
	if err != nil {
		return false
	}
	e.mu.Lock()
	e.ns = ns
	e.mu.Unlock()
	e.why.Store(nil)
	return true
}

func folderFault(folder string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("eventstore/nats: folder %s: %w: give this process the right to write there: %w", folder, engine.ErrUnauthorized, err)
	}
	return fmt.Errorf("eventstore/nats: folder %s: %w", folder, err)
}

// stop ends the server, with everything written, and frees the folder.
func (e *embedded) stop() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	close(e.quit)
	e.work.Wait()
	if e.ns != nil {
		e.ns.Shutdown()
		e.ns.WaitForShutdown()
	}
	e.held.Close()
}
