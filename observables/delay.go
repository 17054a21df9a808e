package observables

import (
	"context"
	"time"
)

// ObserveOn has what follows run on a goroutine of its own, behind a buffer by cfg: what is slow there no
// longer slows what comes before, until the buffer is full, and its policy says what happens then.
func ObserveOn[T any](cfg Config) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			behind(ctx, sc, s, newRing[T](cfg, sc), k)
		}}
	}
}

// behind runs k behind ring and s before it, on their own goroutines.
func behind[T any](ctx context.Context, sc *scope, s Stream[T], in *ring[T], k sink[T]) {
	ctx, up := sc.child(ctx)
	end := k.end
	k.end = func(err error) {
		up.close(err) // the ring may have ended by itself
		end(err)
	}
	in.run(sc, k)
	s.attach(ctx, up, sink[T]{
		next: func(v T) { _ = in.push(ctx, v) }, // fails only when nobody wants v any more
		end:  in.close,
	})
}

// Delay emits each item d after it came, in order, also the last ones before an end. At most twice
// cfg.Buffer items are on their way; the policy says what happens to more.
func Delay[T any](d time.Duration, cfg Config) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			type delayed struct {
				item T
				due  time.Time
			}
			timer := time.NewTimer(d)
			stamped := Map(func(v T) delayed { return delayed{v, time.Now().Add(d)} })(s)
			behind(ctx, sc, stamped, newRing[delayed](cfg, sc), sink[delayed]{
				next: func(v delayed) {
					if left := time.Until(v.due); left > 0 {
						flush(sc, k.flush)
						timer.Reset(left)
						select {
						case <-timer.C:
						case <-ctx.Done():
							return
						}
					}
					k.next(v.item)
				},
				flush: k.flush,
				end: func(err error) {
					timer.Stop()
					k.end(err)
				},
			})
		}}
	}
}
