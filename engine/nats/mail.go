package nats

import (
	"strconv"
	"strings"
	"sync"

	natsgo "github.com/nats-io/nats.go"
)

// mail brings the answers to what was sent in batches: one subscription for all, and
// one entry for each batch, not for each message as the client's own has.
//
// An answer's subject is the prefix, the number of its batch and that of the message in
// it.
type mail struct {
	prefix string
	sub    *natsgo.Subscription

	mu      sync.Mutex
	last    uint64
	awaited map[uint64]*letterbox
}

// letterbox awaits the answers of a batch.
type letterbox struct {
	mail   *mail
	number uint64
	prefix string // of the subjects of its answers
	// subject is that of the messages, or the first parts of it.
	subject string
	// answer is called by the one goroutine of mail, lost by any, once at most.
	answer func(i int, m *natsgo.Msg)
	lost   func(error)
}

func newMail(conn *natsgo.Conn) (*mail, error) {
	m := &mail{prefix: conn.NewInbox() + ".", awaited: map[uint64]*letterbox{}}
	sub, err := conn.Subscribe(m.prefix+"*.*", m.deliver)
	if err != nil {
		return nil, err
	}
	// Answers are bounded by what awaits them.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	m.sub = sub
	return m, nil
}

func (m *mail) open(l *letterbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	l.mail, l.number = m, m.last
	l.prefix = m.prefix + strconv.FormatUint(l.number, 36) + "."
	m.awaited[l.number] = l
}

// reply is the subject for the answer to message i.
func (l *letterbox) reply(i int) string {
	var b [20]byte
	return l.prefix + string(strconv.AppendInt(b[:0], int64(i), 36))
}

func (l *letterbox) close() {
	l.mail.mu.Lock()
	defer l.mail.mu.Unlock()
	delete(l.mail.awaited, l.number)
}

func (m *mail) deliver(msg *natsgo.Msg) {
	number, index, ok := strings.Cut(msg.Subject[len(m.prefix):], ".")
	if !ok {
		return
	}
	n, err := strconv.ParseUint(number, 36, 64)
	if err != nil {
		return
	}
	i, err := strconv.ParseInt(index, 36, 32)
	if err != nil {
		return
	}
	m.mu.Lock()
	l := m.awaited[n]
	m.mu.Unlock()
	if l != nil {
		l.answer(int(i), msg)
	}
}

// fail tells all batches that their answers will not come.
func (m *mail) fail(err error) {
	m.mu.Lock()
	all := m.awaited
	m.awaited = map[uint64]*letterbox{}
	m.mu.Unlock()
	for _, l := range all {
		l.lost(err)
	}
}

// deny tells those batches whose subject err names.
func (m *mail) deny(err error) {
	text := err.Error()
	m.mu.Lock()
	var refused []*letterbox
	for n, l := range m.awaited {
		if at := strings.Index(text, `"`+l.subject); at >= 0 {
			if rest := text[at+1+len(l.subject):]; rest != "" && (rest[0] == '"' || rest[0] == '#' || rest[0] == '.' && l.subject == ackSubject) {
				refused = append(refused, l)
				delete(m.awaited, n)
			}
		}
	}
	m.mu.Unlock()
	for _, l := range refused {
		l.lost(err)
	}
}
