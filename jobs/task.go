package jobs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A task is a job that this worker holds.
type task struct {
	shard *shard
	entry
	job     Job
	ctx     handlerContext // of the handler; it ends with the lease, before any caller's
	running atomic.Bool    // its handler runs; job is set

	// What is to become of it, once decided.
	verdict verdict
	delay   time.Duration
	snoozed bool // a retry that is no attempt
	how     How  // a done job has ended; empty: Done
	tx      *Tx  // what the handler wants stored, or nil
	reason  string
	err     error
}

type verdict uint8

const (
	done verdict = iota
	retry
	dead
	giveBack
)

func newTask(s *shard, e entry) *task {
	t := &task{shard: s, entry: e, ctx: handlerContext{parent: s.q.w.handlers}}
	t.ctx.task = t
	return t
}

// lost says that another worker has the job.
func (t *task) lost() bool { return errors.Is(t.ctx.reason(), errLeaseLost) }

// A handlerContext is the context of one handler. Most handlers ask it at most what job they run, so the real
// one, which the standard library can cancel, is made when it is needed and not for every job.
type handlerContext struct {
	parent context.Context //nolint:containedctx // it is one
	task   *task

	mu    sync.Mutex
	at    *whereabouts    // nil: nobody has asked so far
	real  context.Context //nolint:containedctx // nil: not needed so far
	end   context.CancelCauseFunc
	cause error // why it has ended; nil: it has not, unless parent has
}

// full gives the real context.
func (c *handlerContext) full() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		c.real, c.end = context.WithCancelCause(c.parent)
		if c.cause != nil {
			c.end(c.cause)
		}
	}
	return c.real
}

// cancel ends it, with context.Canceled for no cause. Only the first cause counts.
func (c *handlerContext) cancel(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
		if c.parent.Err() != nil {
			c.cause = context.Cause(c.parent)
		}
	}
	end := c.end
	c.mu.Unlock()
	if end != nil {
		end(cause)
	}
}

// reason is context.Cause of it.
func (c *handlerContext) reason() error {
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	if cause == nil && c.parent.Err() != nil {
		cause = context.Cause(c.parent)
	}
	return cause
}

func (c *handlerContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

func (c *handlerContext) Done() <-chan struct{} { return c.full().Done() }

func (c *handlerContext) Err() error {
	if c.reason() != nil {
		return context.Canceled
	}
	return nil
}

// Value needs the real context for whatever is not our own: the standard library finds it that way.
func (c *handlerContext) Value(key any) any {
	if _, ok := key.(infoKey); ok {
		return c.whereabouts()
	}
	return c.full().Value(key)
}

func (c *handlerContext) whereabouts() *whereabouts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = locate(c.task.shard.q.name, &c.task.job, &Tx{shard: c.task.shard, task: c.task})
	}
	return c.at
}

// tx is what the handler wants stored; nil when it has not asked for a Tx.
func (c *handlerContext) tx() *Tx {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		return nil
	}
	return c.at.tx
}
