package observables

import "context"

// Map replaces each item by f of it.
func Map[A, B any](f func(A) B) Op[A, B] {
	return func(s Stream[A]) Stream[B] {
		return Stream[B]{attach: func(ctx context.Context, sc *scope, k sink[B]) {
			s.attach(ctx, sc, sink[A]{
				next:  func(v A) { k.next(f(v)) },
				flush: k.flush,
				end:   k.end,
			})
		}}
	}
}

// MapErr is Map for functions that can fail. An error costs the item: onError gets it as an *ItemError, and
// the stream goes on.
func MapErr[A, B any](f func(A) (B, error)) Op[A, B] {
	return func(s Stream[A]) Stream[B] {
		return Stream[B]{attach: func(ctx context.Context, sc *scope, k sink[B]) {
			s.attach(ctx, sc, sink[A]{
				next: func(v A) {
					w, err := f(v)
					if err != nil {
						sc.sub.report(&ItemError{Item: v, Err: err})
						return
					}
					k.next(w)
				},
				flush: k.flush,
				end:   k.end,
			})
		}}
	}
}

// Filter keeps the items for which keep holds.
func Filter[T any](keep func(T) bool) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			s.attach(ctx, sc, sink[T]{
				next: func(v T) {
					if keep(v) {
						k.next(v)
					}
				},
				flush: k.flush,
				end:   k.end,
			})
		}}
	}
}

// Do calls f with each item on its way.
func Do[T any](f func(T)) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
			s.attach(ctx, sc, sink[T]{
				next: func(v T) {
					f(v)
					k.next(v)
				},
				flush: k.flush,
				end:   k.end,
			})
		}}
	}
}

// FlatMap replaces each item by those that f emits during the call. A panic in f, or in what follows, costs
// what f had yet to emit.
func FlatMap[A, B any](f func(v A, emit func(B))) Op[A, B] {
	return func(s Stream[A]) Stream[B] {
		return Stream[B]{attach: func(ctx context.Context, sc *scope, k sink[B]) {
			s.attach(ctx, sc, sink[A]{
				next:  func(v A) { f(v, k.next) },
				flush: k.flush,
				end:   k.end,
			})
		}}
	}
}
