package router

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/maphash"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Router is the directory and the deliverer of one agent. Make it with New; all methods are safe for
// concurrent use.
type Router struct {
	config      Config
	redis       *redisx.Client
	prefix      string
	me          string
	log         *slog.Logger
	reorderWait time.Duration
	scripts     scripts
	lanes       []*lane
	seed        maphash.Seed
	tasks       *tasks
	stats       counters

	epochBase string
	counter   atomic.Uint64 // epochs, marks, generations
	running   atomic.Bool
	abandon   bool // tests: end like a crash

	mu    sync.Mutex
	feeds map[History]*feed
	conns map[uint64]*connection
	users map[string]map[uint64]*connection
	ended bool // Run has ended; nobody attaches any more
}

// New makes a Router. It does no I/O.
func New(c Config) (*Router, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	r := &Router{
		config: c, redis: c.Redis, prefix: c.Prefix, me: c.Incarnation, log: c.Logger,
		reorderWait: c.ReorderWait, scripts: newScripts(), seed: maphash.MakeSeed(),
		epochBase: strings.ToLower(rand.Text()[:12]),
		feeds:     map[History]*feed{},
		conns:     map[uint64]*connection{},
		users:     map[string]map[uint64]*connection{},
	}
	if c.Keep < 0 {
		r.reorderWait = max(c.ReorderWait, 2*time.Second) // a hole can only fill by itself
	}
	r.tasks = newTasks(r)
	for range c.Lanes {
		r.lanes = append(r.lanes, newLane(r))
	}
	return r, nil
}

// newEpoch names a life that no history has had.
func (r *Router) newEpoch() string {
	return r.epochBase + strconv.FormatUint(r.counter.Add(1), 36)
}

func (r *Router) lane(h History) *lane {
	return r.lanes[maphash.Comparable(r.seed, h)%uint64(len(r.lanes))]
}

// Run serves until ctx ends: it stores and delivers what is published, keeps the agent's entries in Redis
// alive, fills holes. Then it finishes what was accepted, within Config.Drain, and takes the agent's entries
// out of Redis. It may be called once.
func (r *Router) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("router: Run was called before")
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx by the drain
	defer cancel()

	var storing, serving sync.WaitGroup
	for _, l := range r.lanes {
		storing.Go(func() { l.run(ctx, work) })
	}
	for range taskWorkers {
		serving.Go(func() { r.tasks.run(work) })
	}
	serving.Go(func() { r.attachGlobal(ctx) })
	serving.Go(func() { r.refreshAll(ctx) })

	<-ctx.Done()
	deadline := time.AfterFunc(r.config.Drain, cancel)
	defer deadline.Stop()
	if r.abandon {
		cancel()
	}
	storing.Wait()
	for _, l := range r.lanes {
		l.finish(work)
	}
	r.detachAll()
	if work.Err() == nil {
		r.leave(work)
	}
	cancel()
	r.tasks.close()
	serving.Wait()
	r.stopTimers()
	return nil
}

// detachAll ends all local connections' interest.
func (r *Router) detachAll() {
	r.mu.Lock()
	r.ended = true
	all := r.conns
	r.conns, r.users = map[uint64]*connection{}, map[string]map[uint64]*connection{}
	r.mu.Unlock()
	for _, c := range all {
		c.detach()
	}
}

func (r *Router) stopTimers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.feeds {
		f.timer.Stop()
	}
}

// pin finds or makes the feed of h and keeps it until unpin.
func (r *Router) pin(ctx context.Context, h History) (*feed, error) {
	for {
		r.mu.Lock()
		f := r.feeds[h]
		if f == nil {
			f = newFeed(r, h)
			r.feeds[h] = f
		}
		f.mu.Lock()
		wait := f.releasing
		if wait == nil {
			f.pins++
			f.generation = r.counter.Add(1)
		}
		f.mu.Unlock()
		r.mu.Unlock()
		if wait == nil {
			return f, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// feed is the feed of h, or nil when nobody here is interested.
func (r *Router) feed(h History) *feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feeds[h]
}

func (r *Router) allFeeds() []*feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*feed, 0, len(r.feeds))
	for _, f := range r.feeds {
		all = append(all, f)
	}
	return all
}

// connection finds or makes what is known of c.
func (r *Router) connection(c Conn, user string) (*connection, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, ErrDetached
	}
	if got := r.conns[c.Key()]; got != nil {
		if got.user != user {
			return nil, errors.New("router: the connection is bound to another user")
		}
		return got, nil
	}
	n := &connection{conn: c, user: user, turn: make(chan struct{}, 1), subs: map[History]*sub{}}
	r.conns[c.Key()] = n
	if r.users[user] == nil {
		r.users[user] = map[uint64]*connection{}
	}
	r.users[user][c.Key()] = n
	return n, nil
}

func (r *Router) connectionsOf(user string) []*connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*connection
	for _, c := range r.users[user] {
		all = append(all, c)
	}
	return all
}

// Detach ends the connection's interest in everything, and must be called for every connection that was
// given to Login, Bind or Join, whether they succeeded or not: here at once, in Redis soon after. It is idempotent
// and may be called from within Conn.Send. What another connection of the user holds stays.
func (r *Router) Detach(c Conn) {
	r.mu.Lock()
	n := r.conns[c.Key()]
	if n != nil {
		delete(r.conns, c.Key())
		delete(r.users[n.user], c.Key())
		if len(r.users[n.user]) == 0 {
			delete(r.users, n.user)
		}
	}
	r.mu.Unlock()
	if n != nil {
		n.detach()
	}
}

// Logout is Detach: membership of rooms outlives connections.
func (r *Router) Logout(c Conn) { r.Detach(c) }
