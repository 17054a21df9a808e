package observables

import (
	"context"
	"time"
)

// Buffer collects items into slices of n, and of fewer when d has passed since the first of them, and at the
// end. n 0 means 1024; d 0 means no limit. The slices are the receiver's.
func Buffer[T any](n int, d time.Duration) Op[T, []T] {
	if n <= 0 {
		n = defaultBuffer
	}
	if d <= 0 {
		return bufferCount[T](n)
	}
	return staged(false, func(st *staging[[]T]) stage[T, []T] {
		var pile []T
		var due time.Time
		emit := func() {
			due = time.Time{}
			v := append(make([]T, 0, len(pile)), pile...)
			clear(pile)
			pile = pile[:0]
			st.emit(v)
		}
		return stage[T, []T]{
			next: func(v T) {
				if pile = append(pile, v); len(pile) == n {
					emit()
				}
			},
			tick: func(now time.Time) time.Time {
				switch {
				case len(pile) == 0:
				case due.IsZero():
					due = now.Add(d)
				case !now.Before(due):
					emit()
				}
				return due
			},
			last: func(error) {
				if len(pile) > 0 {
					emit()
				}
			},
		}
	})
}

// bufferCount needs no clock, and so no goroutine.
func bufferCount[T any](n int) Op[T, []T] {
	return func(s Stream[T]) Stream[[]T] {
		return Stream[[]T]{attach: func(ctx context.Context, sc *scope, k sink[[]T]) {
			var pile []T
			s.attach(ctx, sc, sink[T]{
				next: func(v T) {
					if pile = append(pile, v); len(pile) == n {
						full := pile
						pile = make([]T, 0, n)
						k.next(full)
					}
				},
				flush: k.flush,
				end: func(err error) {
					if len(pile) > 0 {
						deliver(sc, [][]T{pile}, k.next)
						flush(sc, k.flush)
					}
					k.end(err)
				},
			})
		}}
	}
}

// Window is Buffer that does not keep the items: it emits a stream for each n items or time d, as soon as
// its first item comes. Who wants that item subscribes in the handler, with the buffer of cfg.
func Window[T any](n int, d time.Duration, cfg Config) Op[T, Stream[T]] {
	return staged(false, func(st *staging[Stream[T]]) stage[T, Stream[T]] {
		var open *Subject[T]
		var due time.Time
		count := 0
		end := func(err error) {
			if open != nil {
				open.finish(err)
				open, due = nil, time.Time{}
			}
		}
		return stage[T, Stream[T]]{
			next: func(v T) {
				if !due.IsZero() && !time.Now().Before(due) {
					end(nil)
				}
				if open == nil {
					open, count = NewSubject[T](cfg), 0
					if d > 0 {
						due = time.Now().Add(d)
					}
					st.emit(open.Stream())
				}
				_ = open.Publish(st.ctx, v)
				if count++; count == n {
					end(nil)
				}
			},
			tick: func(now time.Time) time.Time {
				if !due.IsZero() && !now.Before(due) {
					end(nil)
				}
				return due
			},
			last: end,
		}
	})
}
