package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// adds is what one Publish sends: an XADD for each record, or a script that looks first
// whether its ID is there. The words of the commands lie in one array, and messages are
// given by their addresses, so that a record costs the client's own command and answer
// and little else.
type adds struct {
	t        *Topic
	sealer   *sealer
	messages []string
	words    []any
	commands []goredis.Cmder
	calls    []call // instead, with Config.Dedup
	index    []int  // the record of each
}

// addWords is how many words an XADD has at most.
const addWords = 8

func (t *Topic) newAdds(ctx context.Context, records []engine.Record) *adds {
	a := &adds{
		t: t, sealer: newSealer(t.e.cfg.Envelope, t.e.cfg.MaxRecord, records),
		messages: make([]string, len(records)), index: make([]int, 0, len(records)),
	}
	if t.e.cfg.Dedup > 0 {
		a.calls = make([]call, 0, len(records))
	} else {
		a.words = make([]any, 0, addWords*len(records))
		a.commands = make([]goredis.Cmder, 0, len(records))
	}
	return a
}

func (a *adds) add(ctx context.Context, i int, r *engine.Record) (err error) {
	if a.messages[i], err = a.sealer.seal(r); err != nil {
		return err
	}
	a.index = append(a.index, i)
	shard := a.t.shard(r)
	cfg := &a.t.e.cfg
	if cfg.Dedup > 0 {
		stream := a.t.streams[shard]
		a.calls = append(a.calls, call{
			script: addScript,
			keys:   []string{stream, stream + ":id:" + r.ID},
			args:   []any{cfg.Dedup.Milliseconds(), cfg.MaxLen, fieldEvent, &a.messages[i]},
		})
		return nil
	}
	from := len(a.words)
	a.words = append(a.words, "XADD", &a.t.streams[shard])
	if cfg.MaxLen > 0 {
		a.words = append(a.words, "MAXLEN", "~", &cfg.MaxLen)
	}
	a.words = append(a.words, "*", fieldEvent, &a.messages[i])
	to := len(a.words)
	a.commands = append(a.commands, goredis.NewStringCmd(ctx, a.words[from:to:to]...))
	return nil
}

// send returns an answer for each, which has its error.
func (a *adds) send(ctx context.Context) []goredis.Cmder {
	client := a.t.e.client
	switch {
	case a.calls != nil:
		answers := client.do(ctx, a.calls)
		all := make([]goredis.Cmder, len(answers))
		for i, c := range answers {
			all[i] = c
		}
		return all
	case len(a.commands) == 1:
		_ = client.Process(ctx, a.commands[0])
	default:
		p := client.Pipeline()
		_ = p.BatchProcess(ctx, a.commands...)
		_, _ = p.Exec(ctx)
	}
	return a.commands
}
