package observables

import "context"

// Take completes after n items and leaves the stages above then.
func Take[T any](n int) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		if n <= 0 {
			return Empty[T]()
		}
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			left := n
			takeWhile(ctx, sc, s, k, func(T) (keep, last bool) {
				left--
				return true, left == 0
			})
		}}
	}
}

// TakeWhile completes at the first item for which ok does not hold, without that item.
func TakeWhile[T any](ok func(T) bool) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			takeWhile(ctx, sc, s, k, func(v T) (keep, last bool) {
				keep = ok(v)
				return keep, !keep
			})
		}}
	}
}

// takeWhile ends s after the item that judge calls the last. What has left before is still handled by the
// stages below: only the part above is closed.
func takeWhile[T any](ctx context.Context, sc *scope, s Stream[T], k sink[T], judge func(T) (keep, last bool)) {
	ctx, up := sc.child(ctx)
	ended := false
	end := func(err error) {
		if ended {
			return
		}
		ended = true
		if k.flush != nil {
			k.flush()
		}
		k.end(err)
	}
	s.attach(ctx, up, sink[T]{
		next: func(v T) {
			if ended {
				return
			}
			keep, last := judge(v)
			switch {
			case !last:
				k.next(v)
				return
			case keep: // a panic of the stages below must not keep us from ending
				deliver(sc, []T{v}, k.next)
			}
			up.close(nil)
			end(nil)
		},
		flush: k.flush,
		end:   end,
	})
}

// TakeUntil completes when other has its first item, at once: what is queued is dropped. It does not mind
// how other ends.
func TakeUntil[T, S any](other Stream[S]) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			ctx, up := sc.child(ctx)
			s.attach(ctx, up, sink[T]{
				next:  k.next,
				flush: k.flush,
				end: func(err error) {
					up.close(err)
					if k.flush != nil {
						k.flush()
					}
					k.end(err)
				},
			})
			other.attach(ctx, up, sink[S]{
				next: func(S) { up.close(nil) },
				end:  func(error) {},
			})
		}}
	}
}

// Skip leaves out the first n items.
func Skip[T any](n int) Op[T, T] {
	return stateful(func() func(T) (T, bool) {
		left := n
		return func(v T) (T, bool) {
			if left > 0 {
				left--
				return v, false
			}
			return v, true
		}
	})
}

// Empty is a stream that completes at once.
func Empty[T any]() Stream[T] {
	return Stream[T]{attach: func(_ context.Context, sc *scope, k sink[T]) {
		r := newRing[T](Config{Buffer: 1}, sc)
		r.run(sc, k)
		r.close(nil)
	}}
}
