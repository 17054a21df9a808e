package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// ahead is how much work to hold ready, as far as Prefetch allows: enough for the next jobs to come meanwhile.
const ahead = 20 * time.Millisecond

// A queue is this agent's work on one queue: goroutines that run handlers, and a shard for each partition
// that keeps them supplied.
type queue struct {
	w      *Worker
	name   string
	cfg    QueueConfig
	ready  *ready
	shards []*shard
	mean   atomic.Int64 // how long handlers take, ns, a moving average
}

// cheap is how long handlers may take on average for jobs to be fetched ahead.
const cheap = 5 * time.Millisecond

func newQueue(w *Worker, name string, cfg QueueConfig) *queue {
	q := &queue{w: w, name: name, cfg: cfg, ready: newReady()}
	q.mean.Store(int64(2 * cheap)) // until it is known nothing is fetched ahead
	for part := range w.b.cfg.Partitions {
		q.shards = append(q.shards, newShard(q, part))
	}
	return q
}

// prefetch is how many jobs to hold beyond those that run.
func (q *queue) prefetch() int {
	mean := time.Duration(max(1, q.mean.Load()))
	if mean > cheap {
		return 0
	}
	return min(q.cfg.Prefetch, int(ahead/mean)*q.cfg.Concurrency)
}

// work runs jobs until there are no more.
func (q *queue) work() {
	for t := q.ready.take(); t != nil; t = q.ready.take() {
		if q.w.halted() || t.shard.resting() || q.w.gate.closed() {
			t.verdict = giveBack
			t.shard.settle(t)
			continue
		}
		q.perform(t)
	}
}

// giveBackUnstarted competes with the busy goroutines of work for what is left.
func (q *queue) giveBackUnstarted() {
	for t := q.ready.take(); t != nil; t = q.ready.take() {
		t.verdict = giveBack
		t.shard.settle(t)
	}
}

func (q *queue) perform(t *task) {
	defer t.ctx.cancel(nil)
	if t.lost() {
		t.shard.drop(t)
		return
	}
	var err error
	metrics := q.w.b.cfg.Metrics
	t.job, err = parseEnvelope(t.envelope)
	switch {
	case err != nil:
		t.verdict, t.reason, t.err = dead, "malformed", err
		t.shard.settle(t)
		return
	case !t.job.Deadline.IsZero() && time.Now().After(t.job.Deadline):
		metrics.Count("expired", q.name, 1)
		t.how = Expired
		t.shard.settle(t)
		return
	case !t.begin():
		metrics.Count("cancelled", q.name, 1)
		t.how = Cancelled
		t.shard.settle(t)
		return
	}
	defer t.running.Store(false)
	start := time.Now()
	metrics.Time("wait", q.name, start.Sub(t.job.Created))
	err = q.w.call(&t.ctx, q.cfg.Handler, t.job.Message)
	if _, ok := err.(*message.Pending); ok {
		err = q.await(t, err)
	}
	took := time.Since(start)
	metrics.Time("run", q.name, took)
	mean := q.mean.Load()
	q.mean.Store(mean + (int64(took)-mean)/16) // two at once lose a sample: no harm
	q.judge(t, err)
}

// await waits for a handler's work to end. It occupies a slot until then, as a handler does that waits.
func (q *queue) await(t *task, pending error) error {
	settled := make(chan error, 1)
	message.Settle(pending, func(_ message.Result, err error) { settled <- err })
	select {
	case err := <-settled:
		return err
	case <-t.ctx.Done():
		return t.ctx.reason()
	}
}

func (q *queue) judge(t *task, err error) {
	var snooze *snoozeError
	switch {
	case t.lost():
		t.shard.drop(t)
		return
	case err == nil:
		t.tx = t.ctx.tx()
	case errors.Is(t.ctx.reason(), errCancelled):
		q.w.b.cfg.Metrics.Count("cancelled", q.name, 1)
		t.how = Cancelled
	case errors.As(err, &snooze):
		t.verdict, t.delay, t.snoozed = retry, snooze.after, true
	case errors.Is(err, errStopping), t.ctx.Err() != nil && errors.Is(err, context.Canceled):
		t.verdict = giveBack
	default:
		t.err = err
		t.delay, t.reason = q.w.b.failed(&t.job, err)
		t.verdict = retry
		if t.reason != "" {
			t.verdict = dead
		}
		q.w.b.cfg.Metrics.Count("failed", q.name, 1)
		q.w.b.cfg.Logger.Warn("a job failed", "queue", q.name, "job", t.job.ID, "type", t.job.Message.Type,
			"attempt", t.job.Attempt+1, "dead", t.reason, "error", fmt.Sprint(err))
	}
	t.shard.settle(t)
}
