package observables

import (
	"context"
	"sync/atomic"
	"time"
)

// Defer is a stream that make makes anew for each subscription, and for each attempt of Retry. An error of
// make is the end of that stream.
func Defer[T any](create func(ctx context.Context) (Stream[T], error)) Stream[T] {
	return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
		s, err := create(ctx)
		if err != nil {
			s = Throw[T](err)
		}
		s.attach(ctx, sc, k)
	}}
}

// Throw is a stream that ends with err at once.
func Throw[T any](err error) Stream[T] {
	return Stream[T]{attach: func(_ context.Context, sc *scope, k sink[T]) {
		r := newRing[T](Config{Buffer: 1}, sc)
		r.run(sc, k)
		r.close(err)
	}}
}

// RetryConfig says how Retry waits and when it gives up.
type RetryConfig struct {
	Attempts   int           // that fail in a row, without an item; 0 means without end
	Backoff    time.Duration // before the first attempt; doubles with each that fails in a row; 0 means 100 ms
	MaxBackoff time.Duration // 0 means 30 s
}

func (c *RetryConfig) setDefaults() {
	if c.Backoff <= 0 {
		c.Backoff = 100 * time.Millisecond
	}
	if c.MaxBackoff <= 0 {
		c.MaxBackoff = 30 * time.Second
	}
}

// Retry subscribes again to a stream that ends with an error. It makes sense for streams that begin anew
// with each subscription (Defer, From, FromSeq): a subject that has ended stays so. Each error is reported
// but the one it gives up with, which is the end.
func Retry[T any](cfg RetryConfig) Op[T, T] {
	cfg.setDefaults()
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			k.end = once(k.end)
			r := &retrying[T]{cfg: cfg, source: s, sc: sc, k: k}
			r.attempt(ctx)
		}}
	}
}

// retrying is one subscription of Retry. One attempt runs at a time, on a goroutine of its source.
type retrying[T any] struct {
	cfg    RetryConfig
	source Stream[T]
	sc     *scope
	k      sink[T]
	failed int // attempts in a row
}

func (r *retrying[T]) attempt(ctx context.Context) {
	inner, up := r.sc.child(ctx)
	r.source.attach(inner, up, sink[T]{
		next: func(v T) {
			r.failed = 0
			r.k.next(v)
		},
		flush: r.k.flush,
		end: func(err error) {
			up.close(err)
			r.failed++
			if err == nil || r.sc.closed.Load() || r.failed == r.cfg.Attempts {
				flush(r.sc, r.k.flush)
				r.k.end(r.sc.outcome(err))
				return
			}
			r.sc.sub.report(err)
			r.again(ctx)
		},
	})
}

// again makes the next attempt after a pause.
func (r *retrying[T]) again(ctx context.Context) {
	pause := r.cfg.Backoff
	for range r.failed - 1 {
		if pause *= 2; pause >= r.cfg.MaxBackoff {
			break
		}
	}
	timer := time.NewTimer(min(pause, r.cfg.MaxBackoff))
	attach(r.sc, r.k.end, func() error {
		defer timer.Stop()
		select {
		case <-timer.C:
			r.attempt(ctx)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// Catch goes on with the stream that f gives when its own ends with an error.
func Catch[T any](f func(error) Stream[T]) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			k.end = once(k.end)
			inner, up := sc.child(ctx)
			s.attach(inner, up, sink[T]{next: k.next, flush: k.flush, end: func(err error) {
				up.close(err)
				if err == nil || sc.closed.Load() {
					k.end(sc.outcome(err))
					return
				}
				attach(sc, k.end, func() error {
					f(err).attach(ctx, sc, k)
					return nil
				})
			}})
		}}
	}
}

// attach has f attach a source to a chain that runs, on a goroutine of its own that Done joins. If f fails
// or panics, that is the end of the chain; else the end is the source's. end must be safe to be called twice:
// a source that panicked while it was attached may run in part.
func attach(sc *scope, end func(error), f func() error) {
	sc.sub.hold()
	go func() {
		defer sc.sub.release()
		err := ErrGoexit
		defer func() {
			if p := recover(); p != nil {
				err = panicError(nil, p)
			}
			if err != nil {
				sc.close(err)
				end(sc.outcome(err))
			}
		}()
		err = f()
	}()
}

// once makes an end that counts only the first time.
func once(end func(error)) func(error) {
	var ended atomic.Bool
	return func(err error) {
		if !ended.Swap(true) {
			end(err)
		}
	}
}
