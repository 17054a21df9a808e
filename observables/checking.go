package observables

import (
	"context"
	"sync"
	"time"
)

// passBatch is how many items that need not wait are handed on in one go at most.
const passBatch = 256

// checking is one subscription of a Checker.
//
// Each order key with waiting items has them in a list; its first item waits for its key, all others for
// those before them. Each key knows the orders whose first item waits for it. When a lookup returns, those
// orders let go what they can, until an item comes first whose key has no usable verdict: for that the order
// waits next. A lookup starts when its first item arrives, not when that item comes first.
//
// Invariants under mu: an order in orders has an item; an order is a waiter of exactly its first item's key;
// a key with waiters is scheduled.
//
// What leaves goes into out while mu is held, or from the goroutine of the stages above, which alone adds to
// orders: so the items of an order cannot overtake one another. Items enter only while fewer than Queue wait
// and out has room, so out never holds more than its buffer and Queue.
type checking[T any, K, O comparable, V any] struct {
	cfg *CheckConfig[T, K, O, V]
	sub *Subscription
	out *ring[Checked[T, V]]

	// Of the goroutine of the stages above.
	passed []Checked[T, V] // passed at once, not yet in out
	now    time.Time       // read once for a batch; zero when it must be read again

	mu         sync.Mutex
	room       *sync.Cond // fewer than Queue wait, or dead
	keys       map[K]*checkKey[T, K, O, V]
	orders     map[O]*checkOrder[T, K, O, V]
	ready      *checkKey[T, K, O, V] // scheduled, no worker yet
	readyLast  *checkKey[T, K, O, V]
	readyN     int
	oldest     *checkKey[T, K, O, V] // cached verdicts
	newest     *checkKey[T, K, O, V]
	cached     int
	sweepAt    int
	workers    int
	waiting    int
	seq        uint64 // of the latest item that had to wait
	leaving    []Checked[T, V]
	free       *checkItem[T, K, O, V]
	stats      CheckStats
	dead       bool
	aboveEnded bool
	aboveErr   error
}

type checkKey[T any, K, O comparable, V any] struct {
	id        K
	verdict   V
	err       error
	expires   time.Time // the verdict is fresh before
	upTo      uint64    // items up to this one may use the verdict in any case
	waiting   int       // items of this key, first in their order or not
	scheduled bool      // a lookup is in flight or will be
	stale     bool      // the lookup in flight must not be used
	known     bool      // needs no lookup
	waiters   []*checkOrder[T, K, O, V]
	nextReady *checkKey[T, K, O, V]

	isCached     bool
	older, newer *checkKey[T, K, O, V]
}

func (k *checkKey[T, K, O, V]) usable(seq uint64, now time.Time) bool {
	return k.known || seq <= k.upTo || now.Before(k.expires)
}

type checkOrder[T any, K, O comparable, V any] struct {
	id          O
	first, last *checkItem[T, K, O, V]
}

type checkItem[T any, K, O comparable, V any] struct {
	item T
	key  *checkKey[T, K, O, V]
	seq  uint64
	next *checkItem[T, K, O, V]
}

func newChecking[T any, K, O comparable, V any](cfg *CheckConfig[T, K, O, V], sc *scope) *checking[T, K, O, V] {
	c := &checking[T, K, O, V]{
		cfg:     cfg,
		sub:     sc.sub,
		out:     newRing[Checked[T, V]](Config{}, sc),
		keys:    make(map[K]*checkKey[T, K, O, V]),
		orders:  make(map[O]*checkOrder[T, K, O, V]),
		sweepAt: minSweep,
	}
	c.room = sync.NewCond(&c.mu)
	return c
}

// submit takes the next item from above. It waits while the inside is full.
func (c *checking[T, K, O, V]) submit(ctx context.Context, v T) {
	id, order := c.cfg.Key(v), c.cfg.Order(v)
	if c.now.IsZero() {
		c.now = time.Now()
	}
	if !c.passes(v, id, order) {
		c.pass(ctx)
		c.enqueue(ctx, v, id, order)
	} else if len(c.passed) >= passBatch {
		c.pass(ctx)
	}
}

// passes lets v through at once if it can. An id or order that is an interface with a value that cannot be a
// map's key panics here, before anything has changed, and costs the item.
func (c *checking[T, K, O, V]) passes(v T, id K, order O) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, waits := c.keys[id], c.orders[order] != nil
	if waits {
		return false
	}
	if verdict, known := c.cfg.Known(id); known {
		c.stats.Known++
		c.passed = append(c.passed, Checked[T, V]{Item: v, Verdict: verdict})
		return true
	}
	if key == nil || !c.now.Before(key.expires) {
		return false
	}
	c.stats.Cached++
	c.passed = append(c.passed, Checked[T, V]{v, key.verdict, key.err})
	return true
}

func (c *checking[T, K, O, V]) count() CheckStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// flush is the end of a batch from above.
func (c *checking[T, K, O, V]) flush(ctx context.Context) {
	c.pass(ctx)
	if c.cfg.LookupBatch != nil {
		c.start(ctx)
	}
}

// pass hands on what passed at once.
func (c *checking[T, K, O, V]) pass(ctx context.Context) {
	c.now = time.Time{}
	if len(c.passed) == 0 {
		return
	}
	_ = c.out.pushAll(ctx, c.passed) // fails only when nobody wants them any more
	clear(c.passed)
	c.passed = c.passed[:0]
}

// enqueue lets v wait, once there is room for it. That id and order can be keys has been seen by passes.
func (c *checking[T, K, O, V]) enqueue(ctx context.Context, v T, id K, order O) {
	if !c.lockWithRoom(ctx) {
		return
	}
	defer c.mu.Unlock()
	now := time.Now()
	c.seq++
	key := c.keys[id]
	if key == nil {
		key = &checkKey[T, K, O, V]{id: id}
		key.verdict, key.known = c.cfg.Known(id)
		c.keys[id] = key
	}
	key.waiting++
	c.waiting++
	c.stats.Waited++
	it := c.newItem()
	it.item, it.key, it.seq = v, key, c.seq
	o := c.orders[order]
	if o == nil {
		o = &checkOrder[T, K, O, V]{id: order, first: it, last: it}
		c.orders[order] = o
		c.drain(ctx, o, now)
		c.emit()
		return
	}
	o.last.next, o.last = it, it
	if !key.known && !now.Before(key.expires) {
		c.schedule(ctx, key)
	}
}

// lockWithRoom returns with mu held when an item may enter; false when none will any more.
func (c *checking[T, K, O, V]) lockWithRoom(ctx context.Context) bool {
	for {
		if !c.out.hasRoom() {
			c.start(ctx)
			if c.out.awaitRoom(ctx) != nil {
				return false
			}
		}
		c.mu.Lock()
		for c.waiting >= c.cfg.Queue && !c.dead {
			c.startLocked(ctx)
			c.room.Wait()
		}
		if !c.dead && c.out.hasRoom() {
			return true
		}
		dead := c.dead
		c.mu.Unlock()
		if dead {
			return false
		}
	}
}

// end is the end of the stages above: what waits is still answered.
func (c *checking[T, K, O, V]) end(ctx context.Context, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startLocked(ctx)
	c.aboveEnded, c.aboveErr = true, err
	c.maybeEnd()
}

func (c *checking[T, K, O, V]) maybeEnd() {
	if c.aboveEnded && c.waiting == 0 {
		c.out.close(c.aboveErr)
	}
}

// stop drops everything; lookups in flight are cancelled by their context and not used.
func (c *checking[T, K, O, V]) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	c.keys, c.orders, c.free, c.ready, c.oldest, c.newest = nil, nil, nil, nil, nil, nil
	c.room.Broadcast()
}

// schedule sees to it that key gets a lookup: at once, or for LookupBatch together with the unknown keys of
// the same batch from above.
func (c *checking[T, K, O, V]) schedule(ctx context.Context, key *checkKey[T, K, O, V]) {
	if key.scheduled {
		return
	}
	key.scheduled = true
	if c.ready == nil {
		c.ready = key
	} else {
		c.readyLast.nextReady = key
	}
	c.readyLast = key
	if c.readyN++; c.readyN >= c.cfg.batch() {
		c.startLocked(ctx)
	}
}

// startLocked has a worker look at what is ready. Workers are joined by the subscription's Done.
func (c *checking[T, K, O, V]) startLocked(ctx context.Context) {
	if c.ready == nil || c.workers >= c.cfg.Parallel || c.dead {
		return
	}
	c.workers++
	c.sub.hold()
	go c.work(ctx)
}

// start is startLocked for those who come without the lock.
func (c *checking[T, K, O, V]) start(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startLocked(ctx)
}

// work makes the lookups that are ready, one call after the other, until there are none.
func (c *checking[T, K, O, V]) work(ctx context.Context) {
	defer c.sub.release()
	var call checkCall[T, K, O, V]
	exited := true
	c.mu.Lock()
	defer func() {
		if exited { // by Goexit in a callback, without the lock
			c.mu.Lock()
			c.settle(ctx, &call)
		}
		c.workers--
		c.startLocked(ctx)
		c.mu.Unlock()
	}()
	for c.ready != nil && !c.dead {
		c.takeReady(&call)
		c.mu.Unlock()
		c.lookup(ctx, &call)
		c.mu.Lock()
		c.settle(ctx, &call)
	}
	exited = false
}

func (c *checking[T, K, O, V]) resolve(ctx context.Context, key *checkKey[T, K, O, V], verdict V, ttl time.Duration, err error) {
	now := time.Now()
	key.scheduled = false
	if key.stale { // invalidated while it was looked up; its waiters stay
		if key.waiting > 0 {
			c.schedule(ctx, key)
		}
		c.release(key, now)
		return
	}
	key.verdict, key.err, key.upTo = verdict, err, c.seq
	c.cache(key, now, ttl)
	waiters := key.waiters
	key.waiters = nil
	for _, o := range waiters {
		c.drain(ctx, o, now)
	}
	c.release(key, now)
	c.emit()
	c.room.Signal()
	c.maybeEnd()
}

// drain lets the first items of o leave until one has no usable verdict.
func (c *checking[T, K, O, V]) drain(ctx context.Context, o *checkOrder[T, K, O, V], now time.Time) {
	for o.first != nil {
		it := o.first
		key := it.key
		if !key.usable(it.seq, now) {
			key.waiters = append(key.waiters, o)
			c.schedule(ctx, key)
			return
		}
		c.leaving = append(c.leaving, Checked[T, V]{it.item, key.verdict, key.err})
		o.first = it.next
		c.waiting--
		key.waiting--
		c.release(key, now)
		c.freeItem(it)
	}
	delete(c.orders, o.id)
}

func (c *checking[T, K, O, V]) emit() {
	c.out.force(c.leaving)
	clear(c.leaving)
	c.leaving = c.leaving[:0]
}

func (c *checking[T, K, O, V]) newItem() *checkItem[T, K, O, V] {
	it := c.free
	if it == nil {
		return &checkItem[T, K, O, V]{}
	}
	c.free, it.next = it.next, nil
	return it
}

func (c *checking[T, K, O, V]) freeItem(it *checkItem[T, K, O, V]) {
	*it = checkItem[T, K, O, V]{next: c.free}
	c.free = it
}
