package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/redis/go-redis/v9"
)

// maxInHand is how many jobs of its inbox an agent holds at a time, unsettled ones included.
const maxInHand = 1024

// An inbox reads the stream that belongs to this agent alone. What is in the stream is not done, so a
// cursor is all it takes: after an error it begins at the start and skips what it has in hand.
type inbox struct {
	w      *Worker
	tag    string
	stream string

	feed    chan *letter
	freed   chan struct{}
	decided chan struct{}
	closing chan struct{} // no verdict will follow

	mu      sync.Mutex
	inHand  map[string]*letter // read, and not yet deleted from the stream
	started int                // handed to the handler and not settled
	settled []*letter
	again   []*letter // failed, to be tried again
	rewind  bool      // begin at the start
	idle    chan struct{}
}

// A letter is one job of the inbox.
type letter struct {
	id       string
	envelope string
	job      Job
	attempt  int
	due      time.Time
	void     bool // the inbox was opened anew since; guarded by inbox.mu
	running  bool // guarded by inbox.mu
	reason   string
	err      error
}

func newInbox(w *Worker) *inbox {
	tag := w.b.keys.inbox(w.me)
	return &inbox{
		w: w, tag: tag, stream: tag + ":s0", inHand: make(map[string]*letter),
		feed: make(chan *letter, maxInHand), freed: make(chan struct{}, 1), decided: make(chan struct{}, 1),
		closing: make(chan struct{}), idle: make(chan struct{}, 1),
	}
}

// reopened forgets what was read and not begun: others may have dealt with it.
func (in *inbox) reopened() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for id, l := range in.inHand {
		if !l.running {
			l.void = true
			delete(in.inHand, id)
		}
	}
	in.again = nil
	in.rewind = true
	poke(in.freed)
}

// read feeds the handler until the worker stops.
func (in *inbox) read(ctx context.Context) {
	cursor := "0"
	var delay time.Duration
	for !in.w.halted() {
		room, rewind := in.room()
		if rewind {
			cursor = "0"
		}
		if room == 0 {
			select {
			case <-in.freed:
			case <-in.w.stop:
			}
			continue
		}
		streams, err := in.w.reads.XRead(ctx, &redis.XReadArgs{
			Streams: []string{in.stream, cursor}, Count: int64(min(room, maxBatch)), Block: in.w.b.cfg.Block,
		}).Result()
		switch {
		case errors.Is(err, redis.Nil):
			delay = 0
		case err != nil && in.w.halted():
		case err != nil:
			// The server may have lost its newest entries and give their ids anew, below the cursor.
			cursor = "0"
			in.w.b.trouble(ctx, err)
			delay = min(max(2*delay, 20*time.Millisecond), 500*time.Millisecond)
			in.w.until(ctx, delay/2+rand.N(delay))
		default:
			delay = 0
			for _, m := range streams[0].Messages {
				cursor = m.ID
				in.take(m)
			}
		}
	}
}

func (in *inbox) room() (n int, rewind bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n = maxInHand - len(in.inHand)
	rewind, in.rewind = in.rewind, false
	return n, rewind
}

func (in *inbox) take(m redis.XMessage) {
	l := &letter{id: m.ID}
	l.envelope, _ = m.Values["e"].(string)
	in.mu.Lock()
	_, known := in.inHand[l.id]
	if !known {
		in.inHand[l.id] = l
	}
	in.mu.Unlock()
	if known {
		return
	}
	select {
	case in.feed <- l:
	case <-in.w.stop:
	}
}

// dispatch calls the handler, one job after the other, until the worker stops. It never does while this
// agent's own registration has run out: others may be emptying the inbox.
func (in *inbox) dispatch() {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		var l *letter
		select {
		case <-in.w.stop:
			return
		case l = <-in.feed:
		case <-retry.C:
		case <-in.idle: // something failed: a retry may be due sooner
		}
		if !in.w.life.wait() {
			return
		}
		if l != nil {
			in.handle(l)
		}
		retry.Reset(in.handleDue())
	}
}

// handleDue tries again what is due and says when the next one is.
func (in *inbox) handleDue() time.Duration {
	now, next := time.Now(), time.Hour
	var due []*letter
	in.mu.Lock()
	rest := in.again[:0]
	for _, l := range in.again {
		if wait := l.due.Sub(now); wait > 0 {
			next = min(next, wait)
			rest = append(rest, l)
		} else {
			due = append(due, l)
		}
	}
	in.again = rest
	in.mu.Unlock()
	for _, l := range due {
		in.handle(l)
	}
	return next
}

func (in *inbox) handle(l *letter) {
	in.mu.Lock()
	if l.void {
		in.mu.Unlock()
		return
	}
	l.running = true
	in.started++
	in.mu.Unlock()

	if l.job.Message == nil {
		job, err := parseEnvelope([]byte(l.envelope))
		if err != nil {
			in.end(l, "malformed", err)
			return
		}
		l.job = job
	}
	if d := l.job.Deadline; !d.IsZero() && time.Now().After(d) {
		in.w.b.cfg.Metrics.Count("expired", "", 1)
		in.end(l, "", nil)
		return
	}
	j := l.job
	j.Attempt = l.attempt
	err := in.w.call(withInfo(in.w.handlers, "", &j, nil), in.w.cfg.Inbox, j.Message)
	message.Settle(err, func(_ message.Result, err error) {
		if err == nil {
			in.end(l, "", nil)
			return
		}
		in.failed(l, &j, err)
	})
}

func (in *inbox) failed(l *letter, j *Job, err error) {
	var snooze *snoozeError
	if errors.As(err, &snooze) {
		in.later(l, snooze.after)
		return
	}
	delay, reason := in.w.b.failed(j, err)
	in.w.b.cfg.Metrics.Count("failed", "", 1)
	in.w.b.cfg.Logger.Warn("a job of the inbox failed", "job", j.ID, "type", j.Message.Type, "attempt", j.Attempt+1, "dead", reason, "error", fmt.Sprint(err))
	if reason != "" {
		in.end(l, reason, err)
		return
	}
	l.attempt++
	in.later(l, delay)
}

// later offers a job to the handler again.
func (in *inbox) later(l *letter, delay time.Duration) {
	in.mu.Lock()
	l.running = false
	in.started--
	l.due = time.Now().Add(delay)
	in.again = append(in.again, l)
	in.mu.Unlock()
	poke(in.idle)
}

// end queues the deletion of a job that is done, or dead for a reason.
func (in *inbox) end(l *letter, reason string, err error) {
	l.reason, l.err = reason, err
	in.mu.Lock()
	in.started--
	in.settled = append(in.settled, l)
	in.mu.Unlock()
	poke(in.decided)
	poke(in.idle)
}

// finish waits until nothing runs any more, or handlers are cancelled. What has not begun stays in the
// stream, for whoever empties the inbox.
func (in *inbox) finish() {
	for {
		in.mu.Lock()
		n := in.started
		in.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-in.idle:
		case <-in.w.handlers.Done():
			return
		}
	}
}

// settleAll deletes what is done, in batches, until closing is closed and nothing is left, or ctx ends.
func (in *inbox) settleAll(ctx context.Context) {
	for delay := time.Duration(0); ; {
		last := false
		select {
		case <-in.closing:
			last = true
		default:
		}
		in.mu.Lock()
		batch := in.settled[:min(len(in.settled), maxBatch)]
		in.mu.Unlock()
		if len(batch) == 0 {
			if last {
				return
			}
			select {
			case <-in.decided:
			case <-in.closing:
			case <-ctx.Done():
				return
			}
			continue
		}
		if err := in.delete(ctx, batch); err != nil {
			in.w.b.trouble(ctx, err)
			delay = min(max(2*delay, 10*time.Millisecond), 500*time.Millisecond)
			if !pause(ctx, delay/2+rand.N(delay)) {
				return
			}
			continue
		}
		delay = 0
		in.mu.Lock()
		for _, l := range batch {
			delete(in.inHand, l.id)
		}
		n := len(batch)
		clear(in.settled[:n])
		if in.settled = in.settled[n:]; len(in.settled) == 0 {
			in.settled = nil
		}
		in.mu.Unlock()
		in.w.b.cfg.Metrics.Count("done", "", n)
		poke(in.freed)
	}
}

// delete removes jobs from the stream. A dead letter is written first: it may be written twice but is not
// lost.
func (in *inbox) delete(ctx context.Context, batch []*letter) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	ids := make([]string, len(batch))
	for i, l := range batch {
		ids[i] = l.id
		if l.reason == "" {
			continue
		}
		err := in.w.b.redis.XAdd(ctx, &redis.XAddArgs{
			Stream: in.w.b.keys.inboxDead(), MaxLen: in.w.b.cfg.DeadKeep, Approx: true,
			Values: []any{"e", l.envelope, "id", l.job.ID, "key", l.job.Key, "reason", l.reason, "error", firstBytes(l.err, 500)},
		}).Err()
		if err != nil {
			return err
		}
		in.w.b.cfg.Metrics.Count("dead", "", 1)
	}
	return in.w.b.redis.XDel(ctx, in.stream, ids...).Err()
}
