package observables

import (
	"context"
	"sync"
)

// ReplaySubject is a Subject that remembers its last items: a subscription begins with them. One that comes
// after the end gets them and then the end. Remembering costs a lock that all publishers share.
type ReplaySubject[T any] struct {
	subject *Subject[T]
	size    int

	mu     sync.Mutex // what is remembered and who is subscribed change together
	last   []T        // once it is full, the oldest is at oldest
	oldest int
}

// NewReplaySubject makes a subject that remembers the last size items, at least 1.
func NewReplaySubject[T any](size int, cfg Config) *ReplaySubject[T] {
	return &ReplaySubject[T]{subject: NewSubject[T](cfg), size: max(size, 1)}
}

// Publish is Subject.Publish.
func (s *ReplaySubject[T]) Publish(ctx context.Context, v T) error {
	var few [4]*ring[T]
	s.mu.Lock()
	full, err := s.subject.offer(v, few[:0])
	if err == nil {
		s.remember(v)
	}
	s.mu.Unlock()
	if err != nil || len(full) == 0 {
		return err
	}
	return s.subject.pushTo(ctx, full, v)
}

// OnNext is Subject.OnNext.
func (s *ReplaySubject[T]) OnNext(v T) { _ = s.Publish(nil, v) } //nolint:staticcheck // nil: no end but the subscription's

// OnCompleted is Subject.OnCompleted.
func (s *ReplaySubject[T]) OnCompleted() { s.OnError(nil) }

// OnError is Subject.OnError.
func (s *ReplaySubject[T]) OnError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subject.finish(err)
}

// Subscribers counts the subscriptions.
func (s *ReplaySubject[T]) Subscribers() int { return s.subject.Subscribers() }

// Stream is what is remembered and then the subject's items.
func (s *ReplaySubject[T]) Stream() Stream[T] { return s.StreamWith(s.subject.cfg) }

// StreamWith is Stream with a buffer and policy of its own; the buffer has room at least for what is
// remembered.
func (s *ReplaySubject[T]) StreamWith(cfg Config) Stream[T] {
	cfg.setDefaults()
	cfg.Buffer = max(cfg.Buffer, s.size)
	return Stream[T]{attach: func(_ context.Context, sc *scope, k sink[T]) {
		r := newRing[T](cfg, sc)
		r.run(sc, k)
		s.mu.Lock()
		r.force(s.last[s.oldest:])
		r.force(s.last[:s.oldest])
		registered := s.subject.add(r)
		s.mu.Unlock()
		if registered {
			sc.onClose(func(error) { s.subject.unregister(r) })
		}
	}}
}

func (s *ReplaySubject[T]) remember(v T) {
	if len(s.last) < s.size {
		s.last = append(s.last, v)
		return
	}
	s.last[s.oldest] = v
	s.oldest = (s.oldest + 1) % s.size
}

// latest gives the newest item.
func (s *ReplaySubject[T]) latest() (v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.last); n > 0 {
		v = s.last[(s.oldest+n-1)%n]
	}
	return v
}

// BehaviorSubject is a Subject with a current value: a subscription begins with it.
type BehaviorSubject[T any] struct{ *ReplaySubject[T] }

// NewBehaviorSubject makes a subject whose current value is v.
func NewBehaviorSubject[T any](v T, cfg Config) BehaviorSubject[T] {
	s := BehaviorSubject[T]{NewReplaySubject[T](1, cfg)}
	s.remember(v)
	return s
}

// Value gives the current value.
func (s BehaviorSubject[T]) Value() T { return s.latest() }
