package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Broker stores jobs. Its methods are safe for concurrent use.
type Broker struct {
	cfg    Config
	redis  *redisx.Client
	keys   keys
	number atomic.Uint64 // of batches; over all lanes, so that a lane that ended and began again goes on upwards
	spread atomic.Uint32 // round robin over partitions
	agents census
	health health
	clock  clock
	noted  sync.Map // names of queues that are in the list of queues

	joined atomic.Bool

	mu      sync.RWMutex
	started bool
	wire    context.Context //nolint:containedctx // of the lanes' goroutines, which callers start; set by Run, outlives its context by the time for flushing
	closed  bool
	lanes   map[string]*lane // only those that hold something
	running sync.WaitGroup   // their goroutines
}

// New makes a Broker. It does no I/O; what is enqueued waits in the lanes until Run.
func New(cfg Config) (*Broker, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, redis: cfg.Redis, keys: keys{cfg.Prefix}, lanes: make(map[string]*lane)}
	b.agents.init(b)
	b.clock.b, b.clock.poke = b, make(chan struct{}, 1)
	return b, nil
}

// Incarnation is the name of this start of the agent.
func (b *Broker) Incarnation() string { return b.cfg.Incarnation }

// Run sends what is enqueued and keeps the list of agents fresh until ctx ends; then it refuses new jobs
// and flushes the lanes, for at most Config.Flush. It is called once.
func (b *Broker) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.started {
		b.mu.Unlock()
		return errors.New("jobs: Broker.Run was called twice")
	}
	wire, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	b.started, b.wire = true, wire
	for _, l := range b.lanes {
		l.start()
	}
	b.mu.Unlock()

	var background sync.WaitGroup
	background.Go(func() { b.clock.keep(ctx) })
	b.agents.keep(ctx)
	background.Wait()

	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	defer time.AfterFunc(b.cfg.Flush, giveUp).Stop()
	b.running.Wait()
	return nil
}

// Enqueue queues j for any agent that works on queue and returns at once. done hears the outcome exactly
// once: nil for stored, ErrRefused for certainly not stored, ErrUnknown when the broker ended meanwhile.
// It is called from the lane's goroutine, in order of submission; only a refusal for want of room is told
// before Enqueue returns. It must not block.
func (b *Broker) Enqueue(queue string, j Job, done func(Receipt, error)) {
	if _, err := b.enqueue(queue, j, done); err != nil {
		done(Receipt{}, err)
	}
}

// SendTo queues j for the inbox of one agent, like Enqueue. done may also hear ErrNoAgent.
func (b *Broker) SendTo(incarnation string, j Job, done func(Receipt, error)) {
	if _, err := b.sendTo(incarnation, j, done); err != nil {
		done(Receipt{}, err)
	}
}

// Broadcast queues j for every living agent, this one included, like Enqueue.
func (b *Broker) Broadcast(j Job, done func(Receipt, error)) {
	if _, err := b.broadcast(j, done); err != nil {
		done(Receipt{}, err)
	}
}

// DoEnqueue is Enqueue and waits. When ctx ends first the job is taken back, ErrRefused, or is on its way
// already, ErrUnknown.
func (b *Broker) DoEnqueue(ctx context.Context, queue string, j Job) (Receipt, error) {
	return wait(ctx, func(done func(Receipt, error)) (*item, error) { return b.enqueue(queue, j, done) })
}

// DoSendTo is SendTo and waits, like DoEnqueue.
func (b *Broker) DoSendTo(ctx context.Context, incarnation string, j Job) (Receipt, error) {
	return wait(ctx, func(done func(Receipt, error)) (*item, error) { return b.sendTo(incarnation, j, done) })
}

// DoBroadcast is Broadcast and waits, like DoEnqueue.
func (b *Broker) DoBroadcast(ctx context.Context, j Job) (Receipt, error) {
	return wait(ctx, func(done func(Receipt, error)) (*item, error) { return b.broadcast(j, done) })
}

type outcome struct {
	receipt Receipt
	err     error
}

func wait(ctx context.Context, submit func(func(Receipt, error)) (*item, error)) (Receipt, error) {
	told := make(chan outcome, 1)
	it, err := submit(func(r Receipt, err error) { told <- outcome{r, err} })
	if err != nil {
		return Receipt{}, err
	}
	select {
	case o := <-told:
		return o.receipt, o.err
	case <-ctx.Done():
	}
	if it.lane.takeBack(it) {
		return Receipt{}, fmt.Errorf("%w: %w", ErrRefused, context.Cause(ctx))
	}
	select {
	case o := <-told:
		return o.receipt, o.err
	default:
		return Receipt{ID: it.id}, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

func (b *Broker) enqueue(queue string, j Job, done func(Receipt, error)) (*item, error) {
	if !validName(queue) {
		return nil, fmt.Errorf("%w: queue %q: want 1 to 64 letters, digits, - _ or dots", ErrRefused, queue)
	}
	if j.Volatile {
		return nil, fmt.Errorf("%w: Volatile is for inboxes only", ErrRefused)
	}
	tag := b.keys.queue(queue, b.partition(&j))
	return b.submit(tag, &j, done, func(l *lane) {
		l.queue, l.script = queue, addScript
		l.keys = []string{tag + ":s0", l.producer(), tag + ":d", tag + ":meta"}
		l.limit = max(1, b.cfg.MaxLen/int64(b.cfg.Partitions))
	})
}

// partition is the part of a queue where a job goes.
func (b *Broker) partition(j *Job) int {
	switch n := b.cfg.Partitions; {
	case n == 1:
		return 0
	case j.Key != "":
		return partition(j.Key, n)
	case j.Once != "":
		return partition(j.Once, n) // where its mark is
	default:
		return int(b.spread.Add(1) % uint32(n))
	}
}

// onlyForQueues refuses what only queues can do.
func (j *Job) onlyForQueues() error {
	if !j.At.IsZero() || j.ResultFor > 0 {
		return fmt.Errorf("%w: At and ResultFor are for queues only", ErrRefused)
	}
	return nil
}

func (b *Broker) sendTo(incarnation string, j Job, done func(Receipt, error)) (*item, error) {
	if !validName(incarnation) {
		return nil, ErrNoAgent
	}
	if err := j.onlyForQueues(); err != nil {
		return nil, err
	}
	tag := b.keys.inbox(incarnation)
	if j.Volatile {
		return b.submit(tag+"~", &j, done, func(l *lane) {
			l.script, l.limit, l.volatile = volatileScript, volatileKeep, true
			l.keys = []string{tag + ":v", tag + ":o"}
		})
	}
	return b.submit(tag, &j, done, func(l *lane) {
		l.script, l.limit = sendScript, b.cfg.MaxLen
		l.keys = []string{tag + ":s0", l.producer(), tag + ":o"}
	})
}

func (b *Broker) broadcast(j Job, done func(Receipt, error)) (*item, error) {
	if err := j.onlyForQueues(); err != nil {
		return nil, err
	}
	if j.Volatile {
		return nil, fmt.Errorf("%w: Volatile is for inboxes only", ErrRefused)
	}
	tag := b.keys.broadcast()
	return b.submit(tag, &j, done, func(l *lane) {
		l.script, l.limit = broadcastScript, b.cfg.BroadcastKeep
		l.keys = []string{tag + ":s", l.producer(), tag + ":n"}
	})
}

// maxLanes bounds how many destinations can have jobs waiting at a time.
const maxLanes = 8192

// submit puts a job into the lane of tag, which equip completes when it is new. An error means that the
// job was not taken and that done will not be called.
func (b *Broker) submit(tag string, j *Job, done func(Receipt, error), equip func(*lane)) (*item, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	it := newItem(j, done)
	if len(it.envelope) > maxEnvelope {
		return nil, fmt.Errorf("%w: a job of %d bytes is too large, at most %d", ErrRefused, len(it.envelope), maxEnvelope)
	}
	b.mu.RLock()
	if l := b.lanes[tag]; l != nil || b.closed {
		defer b.mu.RUnlock()
		return it, b.put(l, it)
	}
	b.mu.RUnlock()

	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[tag]
	if l == nil && !b.closed {
		if len(b.lanes) >= maxLanes {
			return nil, fmt.Errorf("%w: too many destinations wait for Redis", ErrRefused)
		}
		l = &lane{b: b, tag: tag}
		equip(l)
		b.lanes[tag] = l
	}
	return it, b.put(l, it)
}

// put needs b.mu, for reading at least: no lane ends meanwhile.
func (b *Broker) put(l *lane, it *item) error {
	if b.closed {
		return fmt.Errorf("%w: the broker is closed", ErrRefused)
	}
	if !l.put(it) {
		b.cfg.Metrics.Count("refused", l.queue, 1)
		return fmt.Errorf("%w: the lane is full", ErrRefused)
	}
	if b.started {
		l.start()
	}
	return nil
}

// health reloads a Cluster's topology after network errors, at most every 200 ms.
type health struct {
	mu   sync.Mutex
	last time.Time
}

// trouble is told every error of Redis that may come from its topology.
func (b *Broker) trouble(ctx context.Context, err error) {
	if err == nil || refusedByServer(err) {
		return
	}
	b.health.mu.Lock()
	due := time.Since(b.health.last) > 200*time.Millisecond
	if due {
		b.health.last = time.Now()
	}
	b.health.mu.Unlock()
	if due {
		b.redis.ReloadTopology(ctx)
	}
}
