package nats_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/nats"
)

// urls is a variable that names a folder with a file for each topic of the suite, whose
// content is the URL of its server, for the processes that it kills. Those of a topic
// that has none have the server in themselves.
const urls = "TROUPE_NATS_URLS"

// modeEnv is a variable that says to the processes with the server in them how safe it is.
const modeEnv = "TROUPE_NATS_MODE"

func opened() (engine.Engine, error) {
	url, err := os.ReadFile(filepath.Join(os.Getenv(urls), os.Getenv("TROUPE_ENGINETEST_TOPIC")))
	if err != nil {
		mode, _ := strconv.Atoi(os.Getenv(modeEnv))
		return nats.Open(context.Background(), nats.Config{Folder: os.Getenv(enginetest.Folder), Mode: nats.Mode(mode)})
	}
	return nats.Open(context.Background(), nats.Config{URL: string(url)})
}

func at(variant, url string) enginetest.Harness {
	return enginetest.Harness{
		Variant: variant,
		Open:    func() (engine.Engine, error) { return nats.Open(context.Background(), nats.Config{URL: url}) },
		Kills:   3, Lease: time.Second,
		Topic: func(t *testing.T, topic string) {
			if err := os.WriteFile(filepath.Join(os.Getenv(urls), topic), []byte(url), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Foreign: func(t *testing.T, topic string, body []byte) { foreign(t, url, topic, body) },
	}
}

func TestConformsInThisProcess(t *testing.T) {
	embedded(t, "NATS JetStream, embedded", nats.ProcessSafe)
}

// Every record waits for the disk.
func TestConformsInThisProcessPowerSafe(t *testing.T) {
	embedded(t, "NATS JetStream, embedded, power-safe", nats.PowerSafe)
}

func embedded(t *testing.T, variant string, mode nats.Mode) {
	t.Setenv(modeEnv, strconv.Itoa(int(mode)))
	var mu sync.Mutex
	var last *nats.Engine
	folder := t.TempDir()
	enginetest.Run(t, enginetest.Harness{
		Variant: variant,
		Open: func() (engine.Engine, error) {
			mu.Lock()
			defer mu.Unlock()
			cfg := nats.Config{Folder: os.Getenv(enginetest.Folder), Mode: mode}
			if cfg.Folder == "" {
				cfg.Folder = folder
			}
			e, err := nats.Open(context.Background(), cfg)
			if err != nil {
				return nil, err
			}
			last = e
			return e, nil
		},
		OneProcess: true, Kills: 3, Lease: time.Second,
		Restart: func(t *testing.T) {
			mu.Lock()
			defer mu.Unlock()
			before := last.Restarts()
			last.StopServer()
			eventually(t, "the server was started again", func() bool { return last.Restarts() > before && last.Ready(t.Context()) == nil })
		},
		Foreign: func(t *testing.T, topic string, body []byte) {
			mu.Lock()
			defer mu.Unlock()
			if err := last.Conn().Publish(topic, body); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestConformsOnAServer(t *testing.T) {
	t.Parallel()
	address, folder := freeAddress(t), t.TempDir()
	ns := serve(t, address, folder, nil)
	h := at("NATS JetStream, server", "nats://"+address)
	h.Restart = func(*testing.T) {
		stop(ns)
		ns = serve(t, address, folder, nil) // until the end of the suite
	}
	enginetest.Run(t, h)
}

// An old server does not do what it does not know, and does not say so.
func TestConformsOnAnOldServer(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, at("NATS JetStream, server 2.9", oldServer(t)))
}

func oldServer(t *testing.T) string {
	t.Helper()
	url := os.Getenv("TROUPE_NATS_OLD")
	if url == "" {
		const how = `TROUPE_NATS_OLD is not set: eval "$(scripts/services start nats-old)" starts a server of Debian`
		if os.Getenv("CI") == "true" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	return url
}

func TestTheOldServerIsOld(t *testing.T) {
	e := start(t, nats.Config{URL: oldServer(t)})
	if v := e.Conn().ConnectedServerVersion(); !strings.HasPrefix(v, "2.9.") && !strings.HasPrefix(v, "2.10.") {
		t.Errorf("the server is %s: this and the suite on it show nothing", v)
	}
}

func foreign(t *testing.T, url, subject string, body []byte) {
	t.Helper()
	conn, err := natsgo.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish(subject, body); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}
