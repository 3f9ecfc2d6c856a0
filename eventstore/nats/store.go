package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// Store is an [eventstore.Store] on JetStream. Methods are safe for concurrent use.
type Store struct {
	cfg    Config
	server *embedded    // nil without Folder
	conn   *natsgo.Conn // nil with JetStream
	js     jetstream.JetStream
	stream jetstream.Stream

	snapshots, checkpoints jetstream.KeyValue

	// batches bounds how many of ours are in flight: a server refuses the 51st of a
	// stream.
	batches chan struct{}
	heads   heads

	mu        sync.Mutex
	closed    bool
	followers map[*follower]struct{}
	life      context.Context // until Close
	end       context.CancelFunc
}

var _ eventstore.Store = (*Store)(nil)

// Open opens the store, which it makes if it is not there.
//
// Errors: every fault of the config at once; engine.ErrUnavailable if nobody answers;
// engine.ErrUnauthorized; engine.ErrUnsupported for a server before 2.12;
// engine.ErrMismatch for a stream of that name with another configuration, which is left
// as it is; engine.ErrInUse if somebody has the folder.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, js: cfg.JetStream, batches: make(chan struct{}, 16), followers: map[*follower]struct{}{}}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		s.end()
		s.hangUp()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := s.connect(); err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if v := s.js.Conn().ConnectedServerVersion(); !atLeast(v, 2, 12) {
		return fmt.Errorf("eventstore/nats: the server is version %s, which stores several events one by one and not all or none: it must be 2.12 or newer: %w", v, engine.ErrUnsupported)
	}
	return s.patiently(ctx, s.prepare)
}

// patiently calls f until it returns another error than that nobody does the work now:
// while a cluster elects a leader nobody answers, and only the next attempt finds it.
func (s *Store) patiently(ctx context.Context, f func(context.Context) error) error {
	for {
		step, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := f(step)
		cancel()
		if err == nil || !engine.Temporary(err) || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// prepare makes, or checks, the stream and the buckets.
func (s *Store) prepare(ctx context.Context) (err error) {
	want := jetstream.StreamConfig{
		Name: s.cfg.Name, Subjects: []string{s.cfg.Name + ".*.*"}, Storage: jetstream.FileStorage, Replicas: s.cfg.Replicas,
		Discard: jetstream.DiscardNew, MaxBytes: max(s.cfg.MaxBytes, 0), DenyDelete: true, DenyPurge: true, AllowAtomicPublish: true,
	}
	if want.MaxBytes == 0 {
		want.MaxBytes = -1
	}
	s.stream, err = s.js.Stream(ctx, s.cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.stream, err = s.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s.stream, err = s.js.Stream(ctx, s.cfg.Name) // somebody was faster
		}
	}
	if err != nil {
		return s.fault(ctx, "open "+s.cfg.Name, err)
	}
	if have := s.stream.CachedInfo().Config; !slices.Equal(have.Subjects, want.Subjects) || have.Retention != want.Retention ||
		have.MaxAge != 0 || have.MaxMsgs > 0 || have.MaxMsgsPerSubject > 0 || have.Discard != want.Discard || !have.DenyDelete || !have.DenyPurge || !have.AllowAtomicPublish {
		return fmt.Errorf("eventstore/nats: the stream %s is there and is no event store, or one that may lose events (%+v): choose another Config.Name: %w", s.cfg.Name, have, engine.ErrMismatch)
	}
	if s.snapshots, err = s.bucket(ctx, s.cfg.Name+"_snapshots"); err != nil {
		return err
	}
	s.checkpoints, err = s.bucket(ctx, s.cfg.Name+"_checkpoints")
	return err
}

// bucket opens one of the key-value store, or makes it. It is read from its leader: from
// another replica, which is the default, a checkpoint could be older than it was.
func (s *Store) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	kv, err := s.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = s.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, History: 1, Replicas: s.cfg.Replicas, Storage: jetstream.FileStorage})
		if errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = s.js.KeyValue(ctx, name) // somebody was faster
		}
	}
	var under jetstream.Stream
	if err == nil {
		under, err = s.js.Stream(ctx, "KV_"+name)
	}
	if err == nil {
		if cfg := under.CachedInfo().Config; cfg.AllowDirect {
			cfg.AllowDirect = false
			if _, err = s.js.UpdateStream(ctx, cfg); err == nil {
				kv, err = s.js.KeyValue(ctx, name)
			}
		}
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) {
		// It has just been made, and not every node knows yet.
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	if err != nil {
		return nil, s.fault(ctx, "open the bucket "+name, err)
	}
	return kv, nil
}

// connect makes the connection, and the server if it is to be in this process.
func (s *Store) connect() (err error) {
	if s.js != nil {
		return nil
	}
	options := []natsgo.Option{natsgo.Name("troupe eventstore " + s.cfg.Name), natsgo.MaxReconnects(-1), natsgo.Timeout(s.cfg.Timeout)}
	if s.cfg.Folder != "" {
		if s.server, err = startEmbedded(s.cfg); err != nil {
			return err
		}
		options = append(options, natsgo.InProcessServer(s.server), natsgo.ReconnectWait(50*time.Millisecond), natsgo.ReconnectJitter(0, 0))
	} else {
		options = append(options, s.cfg.Client...)
	}
	s.conn, err = natsgo.Connect(s.cfg.URL, options...)
	if err != nil {
		if kind := kindOf(err); kind == nil || kind == engine.ErrUnavailable {
			return fmt.Errorf("eventstore/nats: no server at Config.URL: %w: %w", engine.ErrUnavailable, err)
		}
		return fmt.Errorf("eventstore/nats: the server at Config.URL does not let us in: look at Config.Client: %w: %w", kindOf(err), err)
	}
	if s.js, err = jetstream.New(s.conn); err != nil {
		return fmt.Errorf("eventstore/nats: %w", err)
	}
	return nil
}

func (s *Store) hangUp() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.server != nil {
		s.server.stop()
	}
}

// bounded gives ctx the deadline of the config if it has none.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, s.cfg.Timeout)
}

// enter is how each call begins: alive, and bounded.
func (s *Store) enter(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, done, err := s.alive(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := s.bounded(ctx)
	return ctx, func() { cancel(); done() }, nil
}

// alive makes ctx end with the store.
func (s *Store) alive(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.isClosed() {
		return nil, nil, s.closedFault()
	}
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("eventstore/nats: %w", context.Cause(ctx))
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Ready returns nil if the stream has a leader that answers.
func (s *Store) Ready(ctx context.Context) error {
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	if why := s.server.spent(); why != nil {
		return s.fault(ctx, "ready", why)
	}
	if _, err := s.stream.Info(ctx); err != nil {
		return s.fault(ctx, "ready", err)
	}
	return nil
}

// Close ends followers, the connection if it is the store's own, and the server in this
// process.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	var all []*follower
	for f := range s.followers {
		all = append(all, f)
	}
	s.mu.Unlock()
	s.end()
	for _, f := range all {
		f.Close()
	}
	s.hangUp()
	return nil
}

func (s *Store) subject(stream eventstore.Stream) string {
	return s.cfg.Name + "." + stream.Category + "." + escape(stream.ID)
}

// atLeast reports whether a version is that or a newer one.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (a > major || a == major && b >= minor)
}
