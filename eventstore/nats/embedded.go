package nats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/troupe-go/troupe/engine"
)

const startTimeout = 20 * time.Second

// embedded is the server in this process.
type embedded struct {
	ns   *server.Server
	held *os.File
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
	ns, err := server.NewServer(&server.Options{
		ServerName: "troupe-events", JetStream: true, StoreDir: cfg.Folder,
		JetStreamMaxStore: cfg.MaxStore, JetStreamMaxMemory: 64 << 20,
		SyncInterval: time.Second, SyncAlways: cfg.PowerSafe, // its own default is two minutes
		DontListen: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		held.Close()
		return nil, folderFault(cfg.Folder, err)
	}
	ns.Start()
	e := &embedded{ns, held}
	if !ns.ReadyForConnections(startTimeout) || !ns.JetStreamEnabled() {
		e.stop()
		return nil, fmt.Errorf("eventstore/nats: folder %s: the server in this process does not start: look whether the disk is full or the files are another's: %w", cfg.Folder, engine.ErrUnavailable)
	}
	return e, nil
}

func folderFault(folder string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("eventstore/nats: folder %s: %w: give this process the right to write there: %w", folder, engine.ErrUnauthorized, err)
	}
	return fmt.Errorf("eventstore/nats: folder %s: %w", folder, err)
}

// stop ends the server, with everything written, and frees the folder.
func (e *embedded) stop() {
	e.ns.Shutdown()
	e.ns.WaitForShutdown()
	e.held.Close()
}
