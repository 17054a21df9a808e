package observables

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Timeout ends the stream with ErrTimeout when no item has come for d. A busy handler is no silence.
func Timeout[T any](d time.Duration) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			ctx, up := sc.child(ctx)
			w := &watchdog{scope: up, d: d}
			w.mu.Lock()
			w.last, w.timer = time.Now(), time.AfterFunc(d, w.look)
			w.mu.Unlock()
			up.onClose(func(error) { w.timer.Stop() })
			s.attach(ctx, up, sink[T]{
				next: func(v T) {
					w.busy.Store(true) // most times it is, and this costs little
					k.next(v)
				},
				flush: func() {
					defer w.rest()
					if k.flush != nil {
						k.flush()
					}
				},
				end: func(err error) {
					up.close(err)
					flush(sc, k.flush)
					k.end(err)
				},
			})
		}}
	}
}

// watchdog closes a scope when nothing has moved for d.
type watchdog struct {
	scope *scope
	d     time.Duration
	busy  atomic.Bool // a batch is in process

	mu    sync.Mutex
	last  time.Time // the end of the last batch
	timer *time.Timer
}

// rest is the end of a batch.
func (w *watchdog) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
	w.busy.Store(false)
}

// look is called by the timer.
func (w *watchdog) look() {
	w.mu.Lock()
	left := w.d
	if !w.busy.Load() {
		left -= time.Since(w.last)
	}
	if left > 0 {
		w.timer.Reset(left)
		if w.scope.closed.Load() {
			w.timer.Stop()
		}
	}
	w.mu.Unlock()
	if left <= 0 {
		w.scope.close(ErrTimeout)
	}
}
