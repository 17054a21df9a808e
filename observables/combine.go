package observables

import (
	"context"
	"sync"
)

// CombineLatest emits f of the latest items of both streams each time either has a new one, once both have
// one. It completes when both have, or when one does without an item, and ends with the first error. It has
// a buffer of 1024 items; when that is full, both wait.
func CombineLatest[A, B, C any](a Stream[A], b Stream[B], f func(A, B) C) Stream[C] {
	type event struct {
		a    A
		b    B
		hasA bool
	}
	return Stream[C]{attach: func(ctx context.Context, sc *scope, k sink[C]) {
		ctx, up := sc.child(ctx)
		in := newRing[event](Config{}, sc)
		var la A
		var lb B
		hasA, hasB := false, false
		in.run(sc, sink[event]{
			next: func(e event) {
				if e.hasA {
					la, hasA = e.a, true
				} else {
					lb, hasB = e.b, true
				}
				if hasA && hasB {
					k.next(f(la, lb))
				}
			},
			flush: k.flush,
			end: func(err error) {
				up.close(err)
				k.end(err)
			},
		})
		var mu sync.Mutex
		running := 2
		end := func(some bool, err error) {
			mu.Lock()
			defer mu.Unlock()
			if running--; running == 0 || !some || err != nil {
				in.close(err)
			}
		}
		someA, someB := false, false
		a.attach(ctx, up, sink[A]{
			next: func(v A) { someA = true; _ = in.push(ctx, event{a: v, hasA: true}) }, // fails only when nobody wants v
			end:  func(err error) { end(someA, err) },
		})
		b.attach(ctx, up, sink[B]{
			next: func(v B) { someB = true; _ = in.push(ctx, event{b: v}) },
			end:  func(err error) { end(someB, err) },
		})
	}}
}

// WithLatestFrom emits f of each item and the latest of other; items before other's first are left out. It
// ends as its stream does, or with an error of other. It has no buffer of its own.
func WithLatestFrom[A, B, C any](other Stream[B], f func(A, B) C) Op[A, C] {
	return func(s Stream[A]) Stream[C] {
		return Stream[C]{attach: func(ctx context.Context, sc *scope, k sink[C]) {
			ctx, up := sc.child(ctx)
			var mu sync.Mutex
			var latest B
			some := false
			other.attach(ctx, up, sink[B]{
				next: func(v B) {
					mu.Lock()
					defer mu.Unlock()
					latest, some = v, true
				},
				end: func(err error) {
					if err != nil {
						up.close(err)
					}
				},
			})
			s.attach(ctx, up, sink[A]{
				next: func(v A) {
					mu.Lock()
					w, ok := latest, some
					mu.Unlock()
					if ok {
						k.next(f(v, w))
					}
				},
				flush: k.flush,
				end: func(err error) {
					up.close(err)
					flush(sc, k.flush)
					k.end(err)
				},
			})
		}}
	}
}
