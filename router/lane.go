package router

import (
	"context"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

const batchBytes = 1 << 20 // bodies in one pipeline

// lane stores posts, one pipeline at a time: while one is under way the next is collected. So a lone post
// goes out at once, and under load posts share round trips. Posts of one history are always in one lane,
// which keeps their order.
type lane struct {
	r    *Router
	wake chan struct{}

	mu      sync.Mutex
	queue   []*post
	count   int // accepted and not done
	bytes   int
	orders  map[History]*order
	timers  map[*time.Timer]struct{}
	running sync.WaitGroup // timers' functions
	closed  bool           // takes no more
	drained chan struct{}  // closed when closed and count is 0
}

// order is the posts of one history that are not done, so that they are done in order.
type order struct {
	posts    []*post
	settling bool
}

func newLane(r *Router) *lane {
	return &lane{
		r: r, wake: make(chan struct{}, 1), orders: map[History]*order{},
		timers: map[*time.Timer]struct{}{}, drained: make(chan struct{}),
	}
}

// add takes p, or refuses it when the lane is full or closed.
func (l *lane) add(p *post) bool {
	l.mu.Lock()
	if l.closed || l.count >= l.r.config.LaneSize || l.count > 0 && l.bytes+p.size > l.r.config.LaneBytes {
		l.mu.Unlock()
		return false
	}
	l.count++
	l.bytes += p.size
	l.queue = append(l.queue, p)
	o := l.orders[p.history]
	if o == nil {
		o = &order{}
		l.orders[p.history] = o
	}
	o.posts = append(o.posts, p)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

func (l *lane) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// take takes the next batch.
func (l *lane) take() []*post {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for n < len(l.queue) && n < batchSize && (n == 0 || size+l.queue[n].size <= batchBytes) {
		size += l.queue[n].size
		n++
	}
	batch := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return batch
}

// run stores what is added until ctx ends and the queue is empty, or work ends.
func (l *lane) run(ctx, work context.Context) {
	for work.Err() == nil {
		if batch := l.take(); len(batch) > 0 {
			l.store(work, batch)
			continue
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			l.mu.Lock()
			l.closed = true
			empty := len(l.queue) == 0
			l.mu.Unlock()
			if empty {
				return
			}
		}
	}
}

// store sends one batch until Redis has answered for all of it. Marks make it safe to send again what may
// have been executed. What certainly was not fails after Config.Patience.
func (l *lane) store(ctx context.Context, batch []*post) {
	groups := l.r.groups(batch)
	for attempt := 0; ; attempt++ {
		groups = l.try(ctx, groups)
		if len(groups) == 0 {
			return
		}
		if ctx.Err() != nil {
			for _, g := range groups {
				l.fail(g)
			}
			return
		}
		if attempt == 0 {
			l.r.log.Warn("router: posts could not be stored yet, trying again", "posts", len(batch))
		}
		l.expire()
		l.r.redis.ReloadTopology(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(backoff(attempt)):
		}
	}
}

// try sends groups in one pipeline and returns those that must be sent again.
func (l *lane) try(ctx context.Context, groups []*group) []*group {
	calls := make([]redisx.Call, len(groups))
	for i, g := range groups {
		calls[i] = g.call
	}
	var again []*group
	for i, cmd := range l.r.redis.EvalAll(ctx, calls) {
		g := groups[i]
		err := cmd.Err()
		if err == nil {
			if err = l.stored(ctx, g, reply(cmd)); err == nil {
				continue
			}
		}
		if !notExecuted(err) {
			g.unknown = true
		}
		if !g.unknown && time.Since(g.posts[0].since) > l.r.config.Patience {
			l.fail(g)
			continue
		}
		again = append(again, g)
	}
	return again
}

// fail settles the posts of a group that was not answered.
func (l *lane) fail(g *group) {
	err := ErrUnavailable
	if g.unknown {
		err = ErrUnknown
	}
	for _, p := range g.posts {
		l.settle(p, err)
	}
}

// expire fails what has waited in the queue for longer than Config.Patience: it was never sent.
func (l *lane) expire() {
	l.mu.Lock()
	n := 0
	for n < len(l.queue) && time.Since(l.queue[n].since) > l.r.config.Patience {
		n++
	}
	old := l.queue[:n:n]
	l.queue = l.queue[n:]
	l.mu.Unlock()
	for _, p := range old {
		l.settle(p, ErrUnavailable)
	}
}

// expect says how many confirmations p needs.
func (l *lane) expect(p *post, n int) {
	l.mu.Lock()
	p.left = n
	l.mu.Unlock()
	if n == 0 {
		l.settle(p, nil)
	}
}

// confirm counts one confirmation.
func (l *lane) confirm(p *post, err error) {
	l.mu.Lock()
	p.left--
	if err != nil {
		p.err = err
	}
	left, err := p.left, p.err
	l.mu.Unlock()
	if left == 0 {
		l.settle(p, err)
	}
}

// settle ends p, and calls done for all posts of its history that are complete, in order. Only the first
// call counts.
func (l *lane) settle(p *post, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.complete {
		return
	}
	p.complete, p.err = true, err
	o := l.orders[p.history]
	if o.settling {
		return // whoever does it will come to p
	}
	o.settling = true
	for len(o.posts) > 0 && o.posts[0].complete {
		next := o.posts[0]
		o.posts[0] = nil
		o.posts = o.posts[1:]
		l.count--
		l.bytes -= next.size
		l.mu.Unlock()
		next.done(next.result, next.duplicate, next.err)
		l.mu.Lock()
	}
	o.settling = false
	if len(o.posts) == 0 {
		delete(l.orders, p.history)
	}
	if l.closed && l.count == 0 {
		l.closeDrained()
	}
}

func (l *lane) closeDrained() {
	select {
	case <-l.drained:
	default:
		close(l.drained)
	}
}

// later calls f after a while, unless the lane is finished by then.
func (l *lane) later(after time.Duration, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		l.mu.Lock()
		_, live := l.timers[timer]
		delete(l.timers, timer)
		if live {
			l.running.Add(1)
			defer l.running.Done()
		}
		l.mu.Unlock()
		if live {
			f()
		}
	})
	l.timers[timer] = struct{}{}
}

// forget drops a holder that is gone for good.
func (l *lane) forget(ctx context.Context, h History, holder string) {
	l.later(0, func() { l.r.redis.HDel(ctx, l.r.key(h, ":at"), holder) })
}

// finish waits until all that was accepted is done. When work ends first, the rest ends in ErrUnknown, or
// in ErrUnavailable where it was never sent.
func (l *lane) finish(work context.Context) {
	l.mu.Lock()
	l.closed = true
	if l.count == 0 {
		l.closeDrained()
	}
	l.mu.Unlock()
	select {
	case <-l.drained:
	case <-work.Done():
	}
	l.mu.Lock()
	unsent := l.queue
	l.queue = nil
	var rest []*post
	for _, o := range l.orders {
		rest = append(rest, o.posts...)
	}
	for t := range l.timers {
		t.Stop()
	}
	clear(l.timers)
	l.mu.Unlock()
	l.running.Wait()
	for _, p := range unsent {
		l.settle(p, ErrUnavailable)
	}
	for _, p := range rest {
		l.settle(p, ErrUnknown)
	}
}
