package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
)

// WorkerConfig describes what an agent does for the others. All members may be left out.
type WorkerConfig struct {
	Name   string // the agent's name, for people
	Queues map[string]QueueConfig

	// Inbox gets what is sent to this agent, in order, on one goroutine. It may return a *message.Pending:
	// the job is removed when that settles. After an error the job is tried again later, out of order, and
	// becomes a dead letter when its attempts are spent. nil: the inbox fills up.
	Inbox message.Handler
	// Volatile gets the volatile jobs that are sent to this agent, in order, on one goroutine, at most once;
	// what it returns does not matter. nil: they are dropped.
	Volatile message.Handler
	// Broadcast gets every broadcast since Join, in order, on one goroutine.
	Broadcast message.Handler

	// Orphan gets each job that is left in the inbox of a dead agent, in order. nil means that it was dealt
	// with, and removes it; an error, that it is offered again later. It must not send to dead. Without
	// Orphan this agent buries nobody.
	Orphan func(ctx context.Context, dead string, j Job) error
	// Died is called when the inbox of a dead agent is empty, before the agent is forgotten. After an error
	// it is called again later. Both may be called again for the same job or agent if this one dies too.
	Died func(ctx context.Context, dead string) error
	// Gap is called when broadcasts were missed: what they told must be read anew from where it is kept.
	Gap func(ctx context.Context)
	// Rejoined is called when the others had declared this agent dead, for example because it was stopped
	// for long, and it has registered again.
	Rejoined func(ctx context.Context)
}

// QueueConfig describes the work on one queue.
type QueueConfig struct {
	// Handler is called concurrently for different keys. Its context ends when the lease is lost: another
	// worker has the job then, and whatever Handler returns changes nothing.
	Handler     message.Handler
	Concurrency int // handlers at a time; 0 means 64. Each of Config.Partitions gets its share, one at least
	// Prefetch is how many jobs are held ready at most while handlers take less than 5 ms on average: as many as
	// they do in about 20 ms. 0 means 1024, -1 none.
	Prefetch int
}

func (c *WorkerConfig) prepare() error {
	c.Queues = maps.Clone(c.Queues)
	for name, q := range c.Queues {
		or(&q.Concurrency, 64)
		or(&q.Prefetch, 1024)
		q.Prefetch = max(0, q.Prefetch)
		switch {
		case !validName(name):
			return fmt.Errorf("jobs: WorkerConfig.Queues: name %q: want 1 to 64 letters, digits, - _ or dots", name)
		case q.Handler == nil:
			return fmt.Errorf("jobs: WorkerConfig.Queues[%q].Handler is missing", name)
		case q.Concurrency < 0:
			return fmt.Errorf("jobs: WorkerConfig.Queues[%q].Concurrency is negative", name)
		}
		c.Queues[name] = q
	}
	return nil
}

// Worker is an agent's part in the mesh: it takes jobs from queues, reads its inbox and the broadcasts,
// and looks after agents that died.
type Worker struct {
	b        *Broker
	cfg      WorkerConfig
	me       string
	queues   []*queue
	inbox    *inbox
	news     *news
	life     *life
	reaper   *reaper
	gate     gate
	suspects sync.WaitGroup // goroutines that run them; readers start them, Run joins them

	reads *redisx.Readers // closed when the worker stops; set by Run

	once     sync.Once
	stop     chan struct{} // closed: read nothing more
	ended    chan struct{} // closed: Run has ended
	cancel   context.CancelCauseFunc
	handlers context.Context //nolint:containedctx // of all handlers; ends after Run's when Drain lets them finish
}

// settleTimeout bounds how long a stopping worker tries to tell Redis what it has done.
const settleTimeout = 5 * time.Second

// Join registers this agent, opens its inbox and remembers where the broadcasts stand. A Broker joins
// once, unless Join fails. Unless Run follows within Config.AgentTTL the others take the agent for dead.
func (b *Broker) Join(ctx context.Context, cfg WorkerConfig) (_ *Worker, err error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	if b.joined.Swap(true) {
		return nil, errors.New("jobs: Join was called twice")
	}
	defer func() { b.joined.Store(err == nil) }()
	w := &Worker{b: b, cfg: cfg, me: b.cfg.Incarnation, stop: make(chan struct{}), ended: make(chan struct{})}
	w.handlers, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, name := range slices.Sorted(maps.Keys(cfg.Queues)) {
		w.queues = append(w.queues, newQueue(w, name, cfg.Queues[name]))
	}
	w.inbox, w.news, w.life, w.reaper = newInbox(w), newNews(w), newLife(w), newReaper(w)

	if err := w.life.register(ctx); err != nil {
		return nil, fmt.Errorf("jobs: join: %w", err)
	}
	for _, q := range w.queues {
		b.note(ctx, q.name)
		for _, s := range q.shards {
			if err := s.createGroup(ctx); err != nil {
				return nil, fmt.Errorf("jobs: join queue %s: %w", q.name, err)
			}
			if err := s.configure(ctx); err != nil {
				return nil, fmt.Errorf("jobs: join queue %s: %w", q.name, err)
			}
		}
	}
	if err := w.news.start(ctx); err != nil {
		return nil, fmt.Errorf("jobs: join: %w", err)
	}
	if _, err := b.agents.take(ctx, false); err != nil {
		return nil, fmt.Errorf("jobs: join: %w", err)
	}
	w.announce(ctx)
	return w, nil
}

// Incarnation is the name of this start of the agent.
func (w *Worker) Incarnation() string { return w.me }

// describe is what the registry tells of this agent.
func (w *Worker) describe() string {
	text, _ := json.Marshal(AgentInfo{Name: w.cfg.Name, Queues: slices.Sorted(maps.Keys(w.cfg.Queues)), Since: time.Now().UTC()}) //nolint:errchkjson // the year has four digits
	return string(text)
}

// announce tells the others that the list of agents has changed. They would see it anyway, later.
func (w *Worker) announce(ctx context.Context) {
	w.b.tell(ctx, "agents")
}

// Run works until ctx ends or Drain is called, and has ended every goroutine when it returns. When ctx ends
// running handlers are cancelled; Drain lets them finish. Either way what has not started is given back and
// the inbox handed over. It is called once.
func (w *Worker) Run(ctx context.Context) error {
	defer close(w.ended)
	unbind := context.AfterFunc(ctx, func() { w.cancel(errStopping); w.halt() })
	defer unbind()
	io, giveUp := context.WithCancel(context.WithoutCancel(ctx)) // for what must be told to Redis after ctx has ended
	defer giveUp()

	w.reads = w.b.redis.Readers()
	var readers, workers, settlers, background sync.WaitGroup
	background.Go(func() { <-w.stop; _ = w.reads.Close() }) // a blocked read ends at once
	keep, endKeep := context.WithCancel(io)
	defer endKeep()
	background.Go(func() { w.life.keep(keep) })
	for _, q := range w.queues {
		for range q.cfg.Concurrency {
			workers.Go(q.work)
		}
		for _, s := range q.shards {
			readers.Go(func() { s.read(io) })
			settlers.Go(func() { s.settleAll(io) })
			background.Go(func() { s.keep(keep) })
		}
	}
	readers.Go(func() { w.reaper.keep(io) })
	readers.Go(func() { w.tidyUp(io) })
	readers.Go(func() { w.news.read(io) })
	if w.cfg.Volatile != nil {
		readers.Go(func() { w.hear(io) })
	}
	if w.cfg.Inbox != nil {
		readers.Go(func() { w.inbox.read(io) })
		readers.Go(w.inbox.dispatch)
		settlers.Go(func() { w.inbox.settleAll(io) })
	}

	readers.Wait() // what a read that was cut off has delivered is given back at the end, by leave
	for _, q := range w.queues {
		q.ready.close()
		q.giveBackUnstarted()
	}
	workers.Wait()
	w.suspects.Wait()
	w.inbox.finish()

	limit := time.AfterFunc(settleTimeout, giveUp)
	defer limit.Stop()
	for _, q := range w.queues {
		for _, s := range q.shards {
			close(s.closing)
		}
	}
	close(w.inbox.closing)
	settlers.Wait()
	for _, q := range w.queues {
		for _, s := range q.shards {
			s.leave(io)
		}
	}
	endKeep()
	background.Wait()
	w.life.leave(io)
	w.cancel(errStopping)
	return nil
}

// halt makes the readers stop.
func (w *Worker) halt() { w.once.Do(func() { close(w.stop) }) }

func (w *Worker) halted() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// Drain stops reading, lets running handlers finish, gives back what has not started, and hands the inbox
// to the other agents. When ctx ends first, handlers are cancelled. It waits for Run to end, which must have
// been called.
func (w *Worker) Drain(ctx context.Context) error {
	w.halt()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
	}
	w.cancel(errStopping)
	<-w.ended
	return fmt.Errorf("jobs: drain: handlers were cancelled: %w", context.Cause(ctx))
}

// until waits for d, or less when the worker stops or ctx ends.
func (w *Worker) until(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.stop:
	case <-t.C:
	}
}

// call runs a handler and turns its panic into an error.
func (w *Worker) call(ctx context.Context, h message.Handler, m *message.Message) error {
	return w.guard(func() error { return h.Handle(ctx, m) })
}

// guard runs what the user gave us and turns its panic into an error: a job that makes one agent panic must
// not go round and end them all.
func (w *Worker) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.b.cfg.Logger.Error("a handler of jobs panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			w.b.cfg.Metrics.Count("panic", "", 1)
			err = fmt.Errorf("jobs: panic: %v", v)
		}
	}()
	return f()
}

// failed says what becomes of a job whose handler returned err: how long to wait for the next attempt, or
// the reason for which it is a dead letter.
func (b *Broker) failed(j *Job, err error) (delay time.Duration, reason string) {
	var permanent *permanentError
	var retry *retryError
	switch attempt := j.Attempt + 1; {
	case errors.As(err, &permanent):
		return 0, "permanent"
	case attempt >= b.cfg.MaxAttempts:
		return 0, "attempts"
	case errors.As(err, &retry):
		return max(0, retry.after), ""
	default:
		return b.cfg.backoff(attempt), ""
	}
}
