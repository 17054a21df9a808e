package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/redis/go-redis/v9"
)

// news reads the broadcasts, from where they stood at Join on, with a cursor of its own: reconnecting
// skips nothing. Each broadcast bears a number; a number that is skipped is a gap.
type news struct {
	w      *Worker
	tag    string
	cursor string
	number int64 // of the last broadcast seen
}

func newNews(w *Worker) *news { return &news{w: w, tag: w.b.keys.broadcast()} }

func (n *news) start(ctx context.Context) (err error) {
	n.cursor, n.number, err = n.tail(ctx)
	return err
}

func (n *news) tail(ctx context.Context) (cursor string, number int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	list, err := n.w.b.redis.Eval(ctx, tailScript, []string{n.tag + ":s", n.tag + ":n"}).Slice()
	if err != nil {
		return "", 0, err
	}
	return text(list[0]), whole(text(list[1])), nil
}

// read hands out broadcasts until the worker stops.
func (n *news) read(ctx context.Context) {
	var delay time.Duration
	unsure := false // the server was away: it may have lost what we have seen
	for !n.w.halted() {
		err := error(nil)
		if unsure {
			err = n.check(ctx)
		}
		var streams []redis.XStream
		if err == nil {
			unsure = false
			streams, err = n.w.reads.XRead(ctx, &redis.XReadArgs{
				Streams: []string{n.tag + ":s", n.cursor}, Count: maxBatch, Block: n.w.b.cfg.Block,
			}).Result()
		}
		switch {
		case errors.Is(err, redis.Nil):
			delay = 0
		case err != nil && n.w.halted():
		case err != nil:
			unsure = true
			n.w.b.trouble(ctx, err)
			delay = min(max(2*delay, 20*time.Millisecond), 500*time.Millisecond)
			n.w.until(ctx, delay/2+rand.N(delay))
		default:
			delay = 0
			n.take(streams[0].Messages) //nolint:contextcheck // handlers have a context of their own, which ends with the worker
		}
	}
}

func (n *news) take(messages []redis.XMessage) {
	for _, m := range messages {
		if n.w.halted() {
			return
		}
		n.cursor = m.ID
		if control, ok := m.Values["c"].(string); ok {
			if queue, ok := strings.CutPrefix(control, "queue "); ok {
				n.w.look(queue)
				continue
			}
			n.w.b.agents.again()
			poke(n.w.reaper.poke)
			continue
		}
		number, _ := m.Values["n"].(string)
		at := whole(number)
		if at != n.number+1 {
			n.gap()
		}
		n.number = at
		envelope, _ := m.Values["e"].(string)
		n.handle(envelope)
	}
}

func (n *news) gap() {
	n.w.b.cfg.Metrics.Count("gap", "", 1)
	if n.w.cfg.Gap != nil {
		_ = n.w.guard(func() error { n.w.cfg.Gap(n.w.handlers); return nil }) // a panic was logged
	}
}

func (n *news) handle(envelope string) {
	if n.w.cfg.Broadcast == nil {
		return
	}
	j, err := parseEnvelope([]byte(envelope))
	if err != nil {
		n.w.b.cfg.Metrics.Count("malformed", "", 1)
		return
	}
	err = n.w.call(withInfo(n.w.handlers, "", &j, nil), n.w.cfg.Broadcast, j.Message)
	message.Settle(err, func(_ message.Result, err error) {
		if err != nil {
			n.w.b.cfg.Metrics.Count("failed", "", 1)
			n.w.b.cfg.Logger.Warn("handling a broadcast failed", "job", j.ID, "type", j.Message.Type, "error", fmt.Sprint(err))
		}
	})
}

// check compares the cursor with a server that was away. When it has lost what we have seen, new entries
// may have ids below the cursor.
func (n *news) check(ctx context.Context) error {
	cursor, number, err := n.tail(ctx)
	if err != nil {
		return err
	}
	if number < n.number || idLess(cursor, n.cursor) {
		n.cursor, n.number = cursor, number
		n.gap()
	}
	return nil
}

// idLess compares two entry ids.
func idLess(a, b string) bool {
	aMS, aSeq := splitID(a)
	bMS, bSeq := splitID(b)
	return aMS < bMS || aMS == bMS && aSeq < bSeq
}

func splitID(id string) (ms, seq uint64) {
	left, right, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(left, 10, 64)
	seq, _ = strconv.ParseUint(right, 10, 64)
	return ms, seq
}
