package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// serverOf is which variable names which server.
var serverOf = []struct{ name, variable string }{
	{"redis", "TROUPE_REDIS"}, {"rabbitmq", "TROUPE_RABBITMQ"}, {"postgres", "TROUPE_POSTGRES"},
}

// servers starts those that the environment does not name, with data of their own, and
// returns what stops them.
func (r *run) servers(ctx context.Context) (stop func()) {
	script := filepath.Join(r.root, "scripts", "services")
	own := []string{"TROUPE_SERVICES=" + filepath.Join(r.work, "services")}
	started := false
	for _, s := range serverOf {
		if os.Getenv(s.variable) != "" {
			continue
		}
		started = true
		r.say("starting %s", s.name)
		within, cancel := context.WithTimeout(ctx, 2*time.Minute)
		cmd := exec.CommandContext(within, script, "start", s.name)
		cmd.Env = append(os.Environ(), own...)
		cmd.WaitDelay = time.Second
		var errors bytes.Buffer
		cmd.Stderr = &errors
		out, err := cmd.Output()
		cancel()
		if err != nil {
			r.skip("%s, which is not named by %s and does not start: %v: %s", s.name, s.variable, err, tail(errors.String()))
			continue
		}
		r.env = append(r.env, exports(out)...)
	}
	return func() {
		if !started {
			return
		}
		within, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, _, err := r.command(within, r.root, own, script, "stop"); err != nil {
			r.say("servers may be left: %v", err)
		}
	}
}

// exports reads lines as "export NAME=value" and "export NAME="value"".
func exports(out []byte) (env []string) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if line, ok := strings.CutPrefix(lines.Text(), "export "); ok {
			name, value, _ := strings.Cut(line, "=")
			env = append(env, name+"="+strings.Trim(value, `"`))
		}
	}
	return env
}

// have reports whether the servers are there, and says what is left out without one.
func (r *run) have(variable, what string) bool {
	if variable == "" || os.Getenv(variable) != "" {
		return true
	}
	for _, e := range r.env {
		if strings.HasPrefix(e, variable+"=") {
			return true
		}
	}
	r.skip("%s: %s names no server", what, variable)
	return false
}
