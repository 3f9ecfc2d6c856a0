package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// clients are the modules whose versions matter, by where they are required.
var clients = []struct{ module, path string }{
	{"engine/nats", "github.com/nats-io/nats-server/v2"}, {"engine/nats", "github.com/nats-io/nats.go"},
	{"engine/nats/bench", "github.com/ThreeDotsLabs/watermill-nats/v2"},
	{"engine/kafka", "github.com/twmb/franz-go"}, {"engine/redis", "github.com/redis/go-redis/v9"},
	{"engine/rabbitmq", "github.com/rabbitmq/amqp091-go"}, {"engine/postgres", "github.com/jackc/pgx/v5"},
}

// versions are of Go, the clients and the servers of Debian, if that is what runs.
func (r *run) versions() string {
	all := []string{runtime.Version()}
	for _, c := range clients {
		text, _ := os.ReadFile(filepath.Join(r.root, c.module, "go.mod"))
		for line := range bytes.Lines(text) {
			fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(string(line)), "require "))
			if len(fields) >= 2 && fields[0] == c.path {
				all = append(all, strings.TrimPrefix(c.path, "github.com/")+" "+fields[1])
			}
		}
	}
	for _, name := range []string{"redis-server", "rabbitmq-server", "postgresql"} {
		if out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output(); err == nil && len(out) > 0 {
			all = append(all, name+" "+string(out))
		}
	}
	return strings.Join(all, ", ")
}
