package observables

import (
	"context"
	"sync/atomic"
)

// Merge is the items of all streams in one, in order for each of them. It completes when all have and ends
// with the first error. It has a buffer of 1024 items; when that is full, all wait.
func Merge[T any](streams ...Stream[T]) Stream[T] {
	return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
		out := newRing[T](Config{}, sc)
		out.run(sc, k)
		ctx, up := sc.child(ctx)
		var running atomic.Int64
		running.Store(int64(len(streams)) + 1)
		end := func(err error) {
			if running.Add(-1) == 0 || err != nil {
				out.close(err)
				up.close(err)
			}
		}
		for _, s := range streams {
			s.attach(ctx, up, sink[T]{
				next: func(v T) { _ = out.push(ctx, v) }, // fails only when nobody wants v any more
				end:  end,
			})
		}
		end(nil)
	}}
}
