package observables

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/reactivex/rxgo/v2"
)

// ring is the bounded queue in front of one goroutine of a subscription: the boundary that is built on
// rxgo. Producers append to it; tokens carries at most one outstanding item, which means "take all that is
// queued now", so the price of a channel hop is paid once per natural batch and no timer adds latency.
type ring[T any] struct {
	tokens  chan rxgo.Item // capacity 1, at most one outstanding: a send never blocks
	space   chan struct{}  // capacity 1: wakes one waiting producer
	gone    chan struct{}  // closed with the ring
	max     int
	policy  Overflow
	dropped *atomic.Uint64
	lost    *atomic.Uint64 // the subject's count; nil without a subject
	report  func(error)

	mu       sync.Mutex
	buf      []T // queued; begins at head once DropOldest has come round
	head     int
	waiters  int  // producers waiting for space
	signaled bool // a token is outstanding
	closed   bool // nothing more is accepted
	ended    bool // tokens is closed
	err      error

	last []T // the consumer's: the batch it works on, then the next buf
}

func newRing[T any](cfg Config, sc *scope) *ring[T] {
	cfg.setDefaults()
	return &ring[T]{
		tokens:  make(chan rxgo.Item, 1),
		space:   make(chan struct{}, 1),
		gone:    make(chan struct{}),
		max:     cfg.Buffer,
		policy:  cfg.Overflow,
		dropped: &sc.sub.dropped,
		report:  sc.sub.report,
	}
}

// offer queues v without waiting. It returns false when the policy is Block and there is no room.
//
// It is the path of every item: what it usually does is written out, without a call or a defer.
func (r *ring[T]) offer(v T) bool {
	r.mu.Lock()
	if len(r.buf) < r.max && r.signaled && r.waiters == 0 && !r.closed {
		r.buf = append(r.buf, v)
		r.mu.Unlock()
		return true
	}
	taken := r.putLocked(v)
	r.mu.Unlock()
	return taken
}

// offerAll queues as many of vs as it can without waiting and returns how many are dealt with.
func (r *ring[T]) offerAll(vs []T) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.putAllLocked(vs)
}

// push queues v and waits for room if it must. It returns an error only if ctx ended first; ctx may be nil.
func (r *ring[T]) push(ctx context.Context, v T) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.putLocked(v) {
		if err := r.waitLocked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pushAll is push for several items in a row.
func (r *ring[T]) pushAll(ctx context.Context, vs []T) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		vs = vs[r.putAllLocked(vs):]
		if len(vs) == 0 {
			return nil
		}
		if err := r.waitLocked(ctx); err != nil {
			return err
		}
	}
}

// force queues vs even beyond the limit; the caller bounds what it forces.
func (r *ring[T]) force(vs []T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(vs) == 0 {
		return
	}
	r.buf = append(r.buf, vs...)
	r.wakeLocked()
}

// poke has the consumer flush though nothing may be queued: it wakes operators with a clock.
func (r *ring[T]) poke() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.wakeLocked()
	}
}

// awaitRoom waits until the ring has room or is closed, or ctx ends.
func (r *ring[T]) awaitRoom(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed && len(r.buf) >= r.max {
		if err := r.waitLocked(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *ring[T]) hasRoom() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed || len(r.buf) < r.max
}

// putLocked deals with v by the policy; false means that the producer has to wait.
func (r *ring[T]) putLocked(v T) bool {
	if r.closed {
		return true
	}
	if len(r.buf) < r.max {
		r.buf = append(r.buf, v)
		r.wakeLocked()
		return true
	}
	switch r.policy {
	case DropOldest:
		r.dropLocked()
		r.buf[r.head] = v
		if r.head++; r.head == len(r.buf) {
			r.head = 0
		}
		return true
	case DropNewest:
		r.dropLocked()
		return true
	case Fail:
		r.dropLocked()
		r.closeLocked(ErrOverflow)
		return true
	}
	return false
}

func (r *ring[T]) dropLocked() {
	r.dropped.Add(1)
	if r.lost != nil {
		r.lost.Add(1)
	}
}

func (r *ring[T]) putAllLocked(vs []T) int {
	n := 0
	if room := r.max - len(r.buf); room > 0 && len(vs) > 0 && !r.closed {
		n = min(room, len(vs))
		r.buf = append(r.buf, vs[:n]...)
		r.wakeLocked()
	}
	for n < len(vs) && r.putLocked(vs[n]) {
		n++
	}
	return n
}

// waitLocked gives up the lock until there may be room, or the ring is closed, or ctx ends.
func (r *ring[T]) waitLocked(ctx context.Context) error {
	r.waiters++
	r.mu.Unlock()
	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	var err error
	select {
	case <-r.space:
	case <-r.gone:
	case <-done:
		err = context.Cause(ctx)
	}
	r.mu.Lock()
	r.waiters--
	return err
}

// wakeLocked tells the consumer that there is something, and passes room that is left on to the next
// waiting producer.
func (r *ring[T]) wakeLocked() {
	if !r.signaled {
		r.signaled = true
		r.tokens <- rxgo.Item{}
	}
	if r.waiters > 0 && len(r.buf) < r.max {
		r.spaceLocked()
	}
}

func (r *ring[T]) spaceLocked() {
	select {
	case r.space <- struct{}{}:
	default:
	}
}

// take gives all that is queued, in two pieces, the older first. Only the consumer may call it; the pieces
// are valid until it calls take again.
func (r *ring[T]) take() (older, newer []T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	full, head := r.buf, r.head
	r.buf, r.head, r.last = r.last[:0], 0, full
	r.signaled = false
	if r.waiters > 0 {
		r.spaceLocked()
	}
	if r.closed && !r.ended {
		r.ended = true
		close(r.tokens)
	}
	return full[head:], full[:head]
}

// close ends the ring with err after what is queued. The first close decides.
func (r *ring[T]) close(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeLocked(err)
}

func (r *ring[T]) closeLocked(err error) {
	if r.closed {
		return
	}
	r.closed, r.err = true, err
	close(r.gone)
	if !r.signaled { // else take closes it, after the last batch
		r.ended = true
		close(r.tokens)
	}
}

func (r *ring[T]) cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// run starts the consumer: rxgo's ForEach over the tokens, on a goroutine of rxgo that ends when the ring
// is closed and drained. The subscription is not done before.
func (r *ring[T]) run(sc *scope, k sink[T]) {
	sc.sub.hold()
	sc.onClose(r.close)
	rxgo.FromChannel(r.tokens).ForEach(
		func(any) { r.drain(sc, k) },
		sc.sub.report,
		func() {
			defer sc.sub.release()
			k.end(sc.outcome(r.cause()))
		})
}

func (r *ring[T]) drain(sc *scope, k sink[T]) {
	exited := true
	defer func() {
		if exited {
			exit(sc, k.end)
		}
	}()
	older, newer := r.take()
	if k.batch != nil {
		deliverBatch(sc, older, k.batch)
		deliverBatch(sc, newer, k.batch)
	} else {
		deliver(sc, older, k.next)
		deliver(sc, newer, k.next)
		flush(sc, k.flush)
	}
	clear(r.last) // hold on to nothing
	exited = false
}

// exit ends the subscription when a callback has ended a goroutine of it by runtime.Goexit: nobody else can.
func exit(sc *scope, end func(error)) {
	defer sc.sub.release()
	sc.sub.root.close(ErrGoexit)
	end(sc.outcome(ErrGoexit))
}

// produce runs a source that is no ring on a goroutine of its own, which Done joins, and then ends the stage
// below.
func produce(sc *scope, end func(error), source func() error) {
	sc.sub.hold()
	go func() {
		exited := true
		defer func() {
			if exited {
				exit(sc, end)
			}
		}()
		err := source()
		exited = false
		defer sc.sub.release()
		end(sc.outcome(err))
	}()
}

// deliver hands over the items one by one until the scope closes. A panic costs its item only; the price
// of catching it is one defer per batch.
func deliver[T any](sc *scope, items []T, next func(T)) {
	for i := 0; i < len(items); {
		i = deliverFrom(sc, items, i, next)
	}
}

func deliverFrom[T any](sc *scope, items []T, i int, next func(T)) (resume int) {
	defer func() {
		if p := recover(); p != nil {
			resume = i + 1
			sc.sub.report(panicError(items[i], p))
		}
	}()
	for ; i < len(items); i++ {
		if sc.closed.Load() {
			return len(items)
		}
		next(items[i])
	}
	return i
}

func deliverBatch[T any](sc *scope, items []T, next func([]T)) {
	if len(items) == 0 || sc.closed.Load() {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			sc.sub.report(panicError(append([]T(nil), items...), p))
		}
	}()
	next(items)
}

func flush(sc *scope, f func()) {
	if f == nil || sc.closed.Load() {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			sc.sub.report(panicError(nil, p))
		}
	}()
	f()
}
