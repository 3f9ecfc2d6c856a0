package nats

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
)

// source is one consumer of a subscription, which asks for records by pull requests:
// the server sends as many as were asked for, to one subject, as they come, and says
// when a request has ended before.
//
// It is written here, and not taken from the client, because its Fetch makes a
// subscription, a channel and a goroutine for each batch, and its Consume asks for more
// by itself, so that a slow handler would not hold it back.
//
// All fields from asked on are guarded by Subscription.mu.
type source struct {
	consumer jetstream.Consumer
	ask      string // the subject of requests
	inbox    *natsgo.Subscription
	sub      *Subscription
	serial   bool // one record at a time: a partition
	suspect  uint64

	asked  int       // records that were asked for and have not come
	heard  time.Time // when anything has come last
	until  time.Time // it is not asked before
	misses int       // how often in a row nothing has come in silence
}

const (
	pullExpires = 30 * time.Second
	// While a request waits the server says so this often; a request of which
	// nothing was heard for twice as long, and a moment, is one that it does not
	// have: its leader has changed, or it was restarted.
	heartbeat = time.Second
	silence   = 2*heartbeat + tick/2
	// serialAhead is how many requests a partition has waiting, of which one is
	// answered at a time.
	serialAhead = 16
)

func (s *Subscription) source(c jetstream.Consumer) (*source, error) {
	info := c.CachedInfo()
	src := &source{
		consumer: c, sub: s,
		ask:    "$JS.API.CONSUMER.MSG.NEXT." + info.Stream + "." + info.Name,
		serial: info.Config.MaxAckPending == 1, suspect: s.topic.suspect(c),
	}
	conn := s.topic.e.conn
	inbox, err := conn.Subscribe(conn.NewInbox(), src.arrived)
	if err != nil {
		return nil, err
	}
	src.inbox = inbox
	// What comes is what was asked for.
	return src, inbox.SetPendingLimits(-1, -1)
}

// pull asks for n records more. The caller holds sub.mu.
func (src *source) pull(n int) {
	now := time.Now()
	if src.asked == 0 {
		src.heard = now
	}
	src.asked += n
	request := make([]byte, 0, 96)
	request = append(request, `{"expires":`...)
	request = strconv.AppendInt(request, int64(pullExpires), 10)
	request = append(request, `,"batch":`...)
	request = strconv.AppendInt(request, int64(n), 10)
	request = append(request, `,"idle_heartbeat":`...)
	request = strconv.AppendInt(request, int64(heartbeat), 10)
	request = append(request, '}')
	if err := src.sub.topic.e.conn.PublishRequest(src.ask, src.inbox.Subject, request); err != nil {
		src.asked -= n
	}
}

// hold is that the source is not asked again at once.
func (src *source) hold() { src.until = time.Now().Add(tick) }

// arrived takes a message, or what the server says of a request.
func (src *source) arrived(m *natsgo.Msg) {
	s := src.sub
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	src.heard, src.misses = now, 0
	if !strings.HasPrefix(m.Reply, ackSubject) {
		src.status(m)
		return
	}
	src.asked = max(0, src.asked-1)
	s.fault = nil
	if s.closed {
		// It was on its way when the subscription was closed.
		_ = s.topic.e.conn.Publish(m.Reply, nak)
		return
	}
	s.buffer = append(s.buffer, arrival{msg: m, from: src, at: now})
	s.wake()
	s.mind()
}

// status reads what the server says of a request. Source: the status messages of the
// server's consumer.go.
func (src *source) status(m *natsgo.Msg) {
	s := src.sub
	status, text := m.Header.Get("Status"), m.Header.Get("Description")
	left, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		left = src.asked
	}
	switch status {
	case "100": // it waits
		s.fault = nil
		return
	case "404", "408": // it has waited long enough
		s.fault = nil
		src.asked = max(0, src.asked-left)
	case "409":
		src.asked = max(0, src.asked-left)
		switch text {
		case "Consumer Deleted":
			src.asked = 0
			s.over = s.topic.fault(fmt.Errorf("%w: group %s was removed: subscribe again", engine.ErrNoTopic, s.cfg.Group))
		case "Leadership Change", "Server Shutdown":
			src.asked = 0
		case "Batch Completed", "Message Size Exceeds MaxBytes":
		default:
			src.asked = 0
			s.fault = s.topic.fault(fmt.Errorf("%w: group %s: the server says: %s %s", engine.ErrUnavailable, s.cfg.Group, status, text))
		}
	case "503":
		src.asked = 0
		s.fault = s.topic.fault(fmt.Errorf("group %s: %w", s.cfg.Group, natsgo.ErrNoResponders))
		src.hold()
	default:
		src.asked = 0
		s.fault = s.topic.fault(fmt.Errorf("%w: group %s: the server says: %s %s", engine.ErrUnavailable, s.cfg.Group, status, text))
		src.hold()
	}
	s.wake()
}
