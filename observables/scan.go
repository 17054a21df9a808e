package observables

import "context"

// stateful maps and filters by a function that each subscription makes anew; it runs on one goroutine.
func stateful[A, B any](start func() func(A) (B, bool)) Op[A, B] {
	return func(s Stream[A]) Stream[B] {
		return Stream[B]{attach: func(ctx context.Context, sc *scope, k sink[B]) {
			step := start()
			s.attach(ctx, sc, sink[A]{
				next: func(v A) {
					if w, ok := step(v); ok {
						k.next(w)
					}
				},
				flush: k.flush,
				end:   k.end,
			})
		}}
	}
}

// Scan replaces each item by f of the result before and the item, beginning with seed.
func Scan[A, B any](seed B, f func(B, A) B) Op[A, B] {
	return stateful(func() func(A) (B, bool) {
		acc := seed
		return func(v A) (B, bool) {
			acc = f(acc, v)
			return acc, true
		}
	})
}

// Changed leaves out an item whose key is that of the item before it.
func Changed[T any, K comparable](key func(T) K) Op[T, T] {
	return stateful(func() func(T) (T, bool) {
		var last K
		some := false
		return func(v T) (T, bool) {
			k := key(v)
			if some && k == last {
				return v, false
			}
			last, some = k, true
			return v, true
		}
	})
}

// Distinct leaves out an item whose key is among the last window different keys; 0 means 1024. It cannot
// remember for ever, because streams are endless.
func Distinct[T any, K comparable](window int, key func(T) K) Op[T, T] {
	if window <= 0 {
		window = defaultBuffer
	}
	return stateful(func() func(T) (T, bool) {
		seen := make(map[K]struct{})
		var order []K
		oldest := 0
		return func(v T) (T, bool) {
			k := key(v)
			if _, ok := seen[k]; ok {
				return v, false
			}
			seen[k] = struct{}{}
			if len(order) < window {
				order = append(order, k)
				return v, true
			}
			delete(seen, order[oldest])
			order[oldest] = k
			oldest = (oldest + 1) % window
			return v, true
		}
	})
}

// StartWith puts items before those of the stream. They arrive also while the stream is silent; behind them
// is a buffer of 1024 items.
func StartWith[T any](items ...T) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			out := newRing[T](Config{}, sc)
			out.force(items)
			out.run(sc, k)
			s.attach(ctx, sc, sink[T]{
				next: func(v T) { _ = out.push(ctx, v) }, // fails only when nobody wants v any more
				end:  out.close,
			})
		}}
	}
}
