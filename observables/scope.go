package observables

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// scope is the lifetime of one part of a running chain. Closing it ends that part and all that feeds it:
// Take closes the part above it, Dispose the whole.
type scope struct {
	sub    *Subscription
	closed atomic.Bool

	mu       sync.Mutex
	cause    error
	cleanups []func(cause error)
}

// close runs the cleanups once, newest first. It never waits.
func (sc *scope) close(cause error) {
	sc.mu.Lock()
	if sc.closed.Load() {
		sc.mu.Unlock()
		return
	}
	sc.cause = cause
	sc.closed.Store(true)
	cleanups := sc.cleanups
	sc.cleanups = nil
	sc.mu.Unlock()
	for _, f := range slices.Backward(cleanups) {
		f(cause)
	}
}

// onClose has f run when the scope closes; at once if it has.
func (sc *scope) onClose(f func(cause error)) {
	sc.mu.Lock()
	if !sc.closed.Load() {
		sc.cleanups = append(sc.cleanups, f)
		sc.mu.Unlock()
		return
	}
	cause := sc.cause
	sc.mu.Unlock()
	f(cause)
}

// child gives a part that can end before the rest, and a context that ends with it.
func (sc *scope) child(ctx context.Context) (context.Context, *scope) {
	c := &scope{sub: sc.sub}
	ctx, cancel := context.WithCancelCause(ctx)
	c.onClose(cancel)
	sc.onClose(c.close)
	return ctx, c
}

// outcome is how a source ends downstream: as it ended itself, unless the scope was closed before.
func (sc *scope) outcome(err error) error {
	if !sc.closed.Load() {
		return err
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return sc.cause
}
