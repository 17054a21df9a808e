package observables

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// AsyncConfig says how MapAsync calls.
type AsyncConfig[A any, K comparable, B any] struct {
	Key  func(A) K                                 // required: whose order is kept
	Call func(ctx context.Context, v A) (B, error) // required; must return when ctx ends

	Parallel int           // calls at the same time; 0 means 64
	Queue    int           // items inside; when full the stages above wait; 0 means 4096
	Timeout  time.Duration // of the context of a call; 0 means none
}

func (c *AsyncConfig[A, K, B]) setDefaults() {
	if c.Parallel == 0 {
		c.Parallel = 64
	}
	if c.Queue == 0 {
		c.Queue = 4096
	}
}

func (c *AsyncConfig[A, K, B]) validate() error {
	switch {
	case c.Key == nil:
		return errors.New("observables: AsyncConfig.Key is required")
	case c.Call == nil:
		return errors.New("observables: AsyncConfig.Call is required")
	case c.Parallel < 0:
		return fmt.Errorf("observables: AsyncConfig.Parallel is %d, want 0 or more", c.Parallel)
	case c.Queue < 0:
		return fmt.Errorf("observables: AsyncConfig.Queue is %d, want 0 or more", c.Queue)
	case c.Timeout < 0:
		return fmt.Errorf("observables: AsyncConfig.Timeout is %v, want 0 or more", c.Timeout)
	}
	return nil
}

// MapAsync replaces each item by what a slow call makes of it. There is one call for each item. Those of one
// key are made one after the other and leave in their order; those of different keys do not wait for one
// another, but for Parallel. An error or panic costs the item and is reported. What follows runs on a
// goroutine of its own, behind a buffer of 1024 items; that and Queue bound what is inside. When the stream
// above ends, the items inside still leave.
//
// For questions that have the same answer for many items (sessions, permissions) a Checker is far cheaper.
func MapAsync[A any, K comparable, B any](cfg AsyncConfig[A, K, B]) (Op[A, B], error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return func(s Stream[A]) Stream[B] {
		return Stream[B]{attach: func(ctx context.Context, sc *scope, k sink[B]) {
			ctx, up := sc.child(ctx)
			c := &calling[A, K, B]{cfg: &cfg, sub: sc.sub, out: newRing[B](Config{}, sc), keys: make(map[K]*callKey[A, K])}
			c.room = sync.NewCond(&c.mu)
			c.out.run(sc, sink[B]{next: k.next, flush: k.flush, end: func(err error) {
				up.close(err)
				k.end(err)
			}})
			up.onClose(func(error) { c.stop() })
			s.attach(ctx, up, sink[A]{next: func(v A) { c.submit(ctx, v) }, end: c.end})
		}}
	}, nil
}

// calling is one subscription of MapAsync. A key is in keys while it has items; it is ready or a worker has
// it, never both: so its calls follow one another.
type calling[A any, K comparable, B any] struct {
	cfg *AsyncConfig[A, K, B]
	sub *Subscription
	out *ring[B]

	mu         sync.Mutex
	room       *sync.Cond // fewer than Queue inside, or dead
	keys       map[K]*callKey[A, K]
	ready      fifo[*callKey[A, K]]
	workers    int
	inside     int
	dead       bool
	aboveEnded bool
	aboveErr   error
}

type callKey[A any, K comparable] struct {
	id    K
	items fifo[A] // the first is in its call or waits for it
}

func (c *calling[A, K, B]) submit(ctx context.Context, v A) {
	id := c.cfg.Key(v)
	c.mu.Lock()
	defer c.mu.Unlock()
	key := c.keys[id] // panics, if it can, before anything has changed
	for c.inside >= c.cfg.Queue && !c.dead {
		c.room.Wait()
		key = c.keys[id]
	}
	if c.dead {
		return
	}
	c.inside++
	if key != nil {
		key.items.push(v)
		return
	}
	key = &callKey[A, K]{id: id}
	key.items.push(v)
	c.keys[id] = key
	c.ready.push(key)
	c.startLocked(ctx)
}

// startLocked has a worker look at what is ready. Workers are joined by the subscription's Done.
func (c *calling[A, K, B]) startLocked(ctx context.Context) {
	if c.ready.len() == 0 || c.workers >= c.cfg.Parallel || c.dead {
		return
	}
	c.workers++
	c.sub.hold()
	go c.work(ctx)
}

func (c *calling[A, K, B]) work(ctx context.Context) {
	defer c.sub.release()
	var key *callKey[A, K]
	var v A
	exited := true
	c.mu.Lock()
	defer func() {
		if exited { // by Goexit in the call, without the lock
			c.sub.report(&ItemError{Item: v, Err: ErrGoexit})
			c.mu.Lock()
			c.settle(key)
		}
		c.workers--
		c.startLocked(ctx)
		c.mu.Unlock()
	}()
	for c.ready.len() > 0 && !c.dead {
		key = c.ready.pop()
		v = key.items.first()
		c.mu.Unlock()
		if w, ok := c.call(ctx, v); ok {
			_ = c.out.push(ctx, w) // fails only when nobody wants w any more
		}
		c.mu.Lock()
		c.settle(key)
	}
	exited = false
}

// settle is the end of the call of key's first item.
func (c *calling[A, K, B]) settle(key *callKey[A, K]) {
	if c.dead {
		return
	}
	key.items.pop()
	c.inside--
	c.room.Signal()
	if key.items.len() > 0 {
		c.ready.push(key)
	} else {
		delete(c.keys, key.id)
	}
	c.maybeEnd()
}

func (c *calling[A, K, B]) call(ctx context.Context, v A) (w B, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.sub.report(panicError(v, p))
		}
	}()
	if c.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
	}
	w, err := c.cfg.Call(ctx, v)
	if err != nil {
		c.sub.report(&ItemError{Item: v, Err: err})
	}
	return w, err == nil
}

func (c *calling[A, K, B]) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aboveEnded, c.aboveErr = true, err
	c.maybeEnd()
}

func (c *calling[A, K, B]) maybeEnd() {
	if c.aboveEnded && c.inside == 0 {
		c.out.close(c.aboveErr)
	}
}

// stop drops everything; calls in flight are cancelled by their context and not used.
func (c *calling[A, K, B]) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	c.keys, c.ready = nil, fifo[*callKey[A, K]]{}
	c.room.Broadcast()
}

// fifo is a queue that holds on to nothing it has given up. What bounds it is its user.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) first() T { return f.items[f.head] }

func (f *fifo[T]) push(v T) {
	if f.head > 16 && f.head > len(f.items)/2 { // the used half makes room
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, v)
}

func (f *fifo[T]) pop() T {
	v := f.items[f.head]
	var none T
	f.items[f.head] = none
	if f.head++; f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	}
	return v
}
