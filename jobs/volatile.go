package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// volatileKeep is about how many volatile jobs may wait for an agent; then the oldest are dropped.
const volatileKeep = 8192

// whisper sends a batch of volatile jobs, once.
func (l *lane) whisper(batch []*item) {
	b := l.b
	args := make([]any, 0, 1+len(batch))
	args = append(args, l.limit)
	for _, it := range batch {
		args = append(args, it.envelope)
	}
	ctx, cancel := context.WithTimeout(b.wire, batchTimeout)
	answer, err := b.redis.Eval(ctx, l.script, l.keys, args...).Text()
	cancel()
	switch {
	case err == nil && answer == "NOAGENT":
		tellAll(batch, ErrNoAgent)
		return
	case err == nil:
		for _, it := range batch {
			it.done(Receipt{ID: it.id}, nil)
		}
		b.cfg.Metrics.Count("volatile", "", len(batch))
		return
	}
	b.trouble(b.wire, err)
	b.cfg.Metrics.Count("refused", "", len(batch))
	if refusedByServer(err) || notSent(err) {
		tellAll(batch, fmt.Errorf("%w: %w", ErrRefused, err))
		return
	}
	tellAll(batch, fmt.Errorf("%w: %w", ErrUnknown, err))
}

// hear hands out volatile jobs until the worker stops.
func (w *Worker) hear(ctx context.Context) {
	stream, cursor := w.inbox.tag+":v", "0"
	var delay time.Duration
	for !w.halted() {
		streams, err := w.reads.XRead(ctx, &redis.XReadArgs{Streams: []string{stream, cursor}, Count: maxBatch, Block: w.b.cfg.Block}).Result()
		switch {
		case errors.Is(err, redis.Nil):
			delay = 0
		case err != nil && w.halted():
		case err != nil:
			w.b.trouble(ctx, err)
			delay = min(max(2*delay, 20*time.Millisecond), 500*time.Millisecond)
			w.until(ctx, delay/2+rand.N(delay))
		default:
			delay = 0
			list := streams[0].Messages
			ids := make([]string, len(list))
			for i, m := range list {
				cursor, ids[i] = m.ID, m.ID
			}
			_ = w.b.redis.XDel(ctx, stream, ids...).Err() // else the cap removes them
			for _, m := range list {
				w.whispered(m)
			}
		}
	}
}

func (w *Worker) whispered(m redis.XMessage) {
	envelope, _ := m.Values["e"].(string)
	j, err := parseEnvelope([]byte(envelope))
	if err != nil {
		w.b.cfg.Metrics.Count("malformed", "", 1)
		return
	}
	if !j.Deadline.IsZero() && time.Now().After(j.Deadline) {
		w.b.cfg.Metrics.Count("expired", "", 1)
		return
	}
	_ = w.call(withInfo(w.handlers, "", &j, nil), w.cfg.Volatile, j.Message) // a panic was logged
}
