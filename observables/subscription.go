package observables

import (
	"context"
	"sync"
	"sync/atomic"
)

// Subscription is one running chain from its sources to its callbacks.
type Subscription struct {
	root    scope
	onError func(error)
	onDone  func(error)
	done    chan struct{}
	live    atomic.Int64 // goroutines of the chain, and Subscribe itself
	dropped atomic.Uint64

	mu  sync.Mutex
	err error
}

// start builds and starts a chain. The goroutines that attach starts are joined by hold and release.
func start(ctx context.Context, onError, onDone func(error), attach func(context.Context, *Subscription)) *Subscription {
	sub := &Subscription{onError: onError, onDone: onDone, done: make(chan struct{})}
	sub.root.sub = sub
	sub.hold()
	defer sub.release()
	inner, cancel := context.WithCancelCause(ctx)
	sub.root.onClose(cancel)
	attached := false
	defer func() {
		if !attached { // an operator panicked while it was built: leave nothing running
			sub.Dispose()
		}
	}()
	attach(inner, sub)
	attached = true
	stop := context.AfterFunc(ctx, func() { sub.root.close(context.Cause(ctx)) })
	sub.root.onClose(func(error) { stop() })
	return sub
}

// Dispose ends the subscription: it unregisters from its sources, frees publishers that wait for it and
// drops what is queued. At most the call in progress finishes. It does not wait, may be called more than
// once, from anywhere, also from the subscription's own callbacks.
func (s *Subscription) Dispose() { s.root.close(ErrDisposed) }

// Done is closed when the callbacks have returned for the last time and the chain's goroutines have ended.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Err says how the subscription ended: nil after completion, the subject's error, ErrOverflow, ErrDisposed
// or the cause of its context's end. It is nil before onDone is called.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Dropped counts the items that full buffers of this subscription have cost it.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

func (s *Subscription) hold() { s.live.Add(1) }

func (s *Subscription) release() {
	if s.live.Add(-1) == 0 {
		close(s.done)
	}
}

// report hands an item's error to onError. A panic there has nobody left to be told to.
func (s *Subscription) report(err error) {
	if s.onError == nil {
		return
	}
	defer func() { _ = recover() }()
	s.onError(err)
}

// finish is the end of the chain's last stage.
func (s *Subscription) finish(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.root.close(err)
	if s.onDone == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			s.report(panicError(nil, p))
		}
	}()
	s.onDone(err)
}
