package observables

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Subject is a hot source: what is published goes to every subscription there is at that moment, each
// through a buffer of its own. It is safe for concurrent use.
type Subject[T any] struct {
	cfg   Config
	lost  atomic.Uint64
	state atomic.Pointer[subjectState[T]] // replaced, never changed: publishing takes no lock of the subject
	mu    sync.Mutex                      // one replacement at a time
}

type subjectState[T any] struct {
	rings  []*ring[T]
	closed bool
	err    error
}

// NewSubject makes a subject; cfg is what its subscriptions get unless StreamWith says otherwise.
func NewSubject[T any](cfg Config) *Subject[T] {
	cfg.setDefaults()
	s := &Subject[T]{cfg: cfg}
	s.state.Store(&subjectState[T]{})
	return s
}

// Publish hands v to every subscription. It waits only for Block subscriptions that are full, after all
// others have v. It returns ErrClosed when the subject has ended, and the context's cause when that ended
// while it waited: those still full then may have missed v. Calls from one goroutine arrive in order
// everywhere.
func (s *Subject[T]) Publish(ctx context.Context, v T) error {
	st := s.state.Load()
	for i, r := range st.rings {
		if !r.offer(v) {
			return s.publishSlowly(ctx, st.rings[i:], v)
		}
	}
	if st.closed {
		return ErrClosed
	}
	return nil
}

// publishSlowly hands v to rings of which the first is full: it waits for that, and others like it, last.
func (s *Subject[T]) publishSlowly(ctx context.Context, rings []*ring[T], v T) error {
	var few [4]*ring[T]
	full := append(few[:0], rings[0])
	for _, r := range rings[1:] {
		if !r.offer(v) {
			full = append(full, r)
		}
	}
	return s.pushTo(ctx, full, v)
}

// offer hands v to all who take it without waiting and appends the others to full.
func (s *Subject[T]) offer(v T, full []*ring[T]) ([]*ring[T], error) {
	st := s.state.Load()
	if st.closed {
		return nil, ErrClosed
	}
	for _, r := range st.rings {
		if !r.offer(v) {
			full = append(full, r)
		}
	}
	return full, nil
}

func (s *Subject[T]) pushTo(ctx context.Context, rings []*ring[T], v T) error {
	var err error
	for _, r := range rings {
		if e := r.push(ctx, v); e != nil {
			err = e
		}
	}
	return s.waited(err)
}

// waited is what a publisher that had to wait is told.
func (s *Subject[T]) waited(err error) error {
	if err == nil && s.state.Load().closed {
		return ErrClosed
	}
	return err
}

// PublishBatch is Publish for items in a row, at a lower price for each. The slice is not kept. After an
// error a part of the batch may have arrived.
func (s *Subject[T]) PublishBatch(ctx context.Context, vs []T) error {
	st := s.state.Load()
	if st.closed {
		return ErrClosed
	}
	type rest struct {
		ring *ring[T]
		from int
	}
	var few [4]rest
	full := few[:0]
	for _, r := range st.rings {
		if n := r.offerAll(vs); n < len(vs) {
			full = append(full, rest{r, n})
		}
	}
	if len(full) == 0 {
		return nil
	}
	var err error
	for _, f := range full {
		if e := f.ring.pushAll(ctx, vs[f.from:]); e != nil {
			err = e
		}
	}
	return s.waited(err)
}

// OnNext is Publish that waits for full Block subscriptions until they have room or are disposed. After
// the end it does nothing.
func (s *Subject[T]) OnNext(v T) { _ = s.Publish(nil, v) } //nolint:staticcheck // nil: no end but the subscription's

// OnCompleted ends the subject: subscriptions complete after what is queued, later ones at once.
func (s *Subject[T]) OnCompleted() { s.finish(nil) }

// OnError ends the subject with an error for every subscription, after what is queued; nil means completed.
func (s *Subject[T]) OnError(err error) { s.finish(err) }

func (s *Subject[T]) finish(err error) {
	s.mu.Lock()
	st := s.state.Load()
	if !st.closed {
		s.state.Store(&subjectState[T]{closed: true, err: err})
	}
	s.mu.Unlock()
	if st.closed {
		return
	}
	for _, r := range st.rings {
		r.close(err)
	}
}

// Subscribers counts the subscriptions.
func (s *Subject[T]) Subscribers() int { return len(s.state.Load().rings) }

// Dropped counts the items that full buffers have cost the subscriptions of this subject, those that have ended
// included.
func (s *Subject[T]) Dropped() uint64 { return s.lost.Load() }

// Stream is the subject's items for subscribers, with the subject's buffer and policy.
func (s *Subject[T]) Stream() Stream[T] { return s.StreamWith(s.cfg) }

// StreamWith is Stream with a buffer and policy of its own.
func (s *Subject[T]) StreamWith(cfg Config) Stream[T] {
	cfg.setDefaults()
	return Stream[T]{attach: func(_ context.Context, sc *scope, k sink[T]) {
		r := newRing[T](cfg, sc)
		r.lost = &s.lost
		r.run(sc, k)
		if s.add(r) {
			sc.onClose(func(error) { s.unregister(r) })
		}
	}}
}

// add lets r have what is published from now on. After the subject's end it ends r and returns false.
func (s *Subject[T]) add(r *ring[T]) bool {
	s.mu.Lock()
	st := s.state.Load()
	if !st.closed {
		// What append may write lies behind the end of every older state.
		s.state.Store(&subjectState[T]{rings: append(st.rings, r)})
	}
	s.mu.Unlock()
	if st.closed {
		r.close(st.err)
	}
	return !st.closed
}

func (s *Subject[T]) unregister(r *ring[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state.Load()
	i := slices.Index(st.rings, r)
	if i < 0 {
		return
	}
	rings := make([]*ring[T], 0, len(st.rings)-1)
	rings = append(append(rings, st.rings[:i]...), st.rings[i+1:]...)
	s.state.Store(&subjectState[T]{rings: rings})
}

// report hands an upstream error to every subscription.
func (s *Subject[T]) report(err error) {
	for _, r := range s.state.Load().rings {
		r.report(err)
	}
}
