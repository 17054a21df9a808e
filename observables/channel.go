package observables

import (
	"context"
	"iter"
)

// FromChan is the items of a channel, until it is closed. Each subscription reads from the same channel, so
// several share the items out among themselves: put Share after it if all are to have all.
func FromChan[T any](ch <-chan T) Stream[T] {
	return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
		produce(sc, k.end, func() error {
			one := make([]T, 1)
			hand := func(v T) {
				one[0] = v
				deliver(sc, one, k.next)
				clear(one)
			}
			for n := 1; ; n++ {
				select {
				case v, ok := <-ch:
					if !ok {
						return nil
					}
					hand(v)
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if len(ch) == 0 || n%passBatch == 0 { // the natural batch is over, or large enough
					flush(sc, k.flush)
				}
			}
		})
	}}
}

// ToChan subscribes and gives the items as a channel with buf items of buffer, which is closed at the end;
// the subscription's Err says how it ended. Who stops reading early must dispose of the subscription or end
// ctx.
func (s Stream[T]) ToChan(ctx context.Context, buf int, onError func(error)) (<-chan T, *Subscription) {
	ch := make(chan T, buf)
	sub := start(ctx, onError, func(error) { close(ch) }, func(ctx context.Context, sub *Subscription) {
		s.attach(ctx, &sub.root, sink[T]{end: sub.finish, next: func(v T) {
			select {
			case ch <- v:
			case <-ctx.Done():
			}
		}})
	})
	return ch, sub
}

// FromSeq is what seq yields, on a goroutine for each subscription; that goroutine stays while seq neither
// yields nor returns. An *ItemError costs an item, any other error, or a panic, ends the stream.
func FromSeq[T any](seq iter.Seq2[T, error]) Stream[T] {
	return Stream[T]{attach: func(_ context.Context, sc *scope, k sink[T]) {
		produce(sc, k.end, func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = panicError(nil, p)
				}
			}()
			one := make([]T, 1)
			for v, e := range seq {
				if item, ok := e.(*ItemError); ok {
					sc.sub.report(item)
					continue
				}
				if e != nil {
					return e
				}
				one[0] = v
				deliver(sc, one, k.next)
				flush(sc, k.flush)
				if sc.closed.Load() {
					return nil
				}
			}
			return nil
		})
	}}
}

// Each gives the items to range over, in the caller's goroutine. An item that failed comes as an *ItemError,
// an end that is no completion as the last error. When the loop ends, so has the subscription.
func (s Stream[T]) Each(ctx context.Context) iter.Seq2[T, error] {
	type event struct {
		item T
		err  error
	}
	return func(yield func(T, error) bool) {
		var in *ring[event]
		sub := start(ctx,
			func(err error) { _ = in.push(ctx, event{err: err}) }, // fails only when ctx has ended
			nil,
			func(ctx context.Context, sub *Subscription) {
				root := &sub.root
				in = newRing[event](Config{}, root)
				root.onClose(in.close)
				s.attach(ctx, root, sink[T]{
					next: func(v T) { _ = in.push(ctx, event{item: v}) }, // fails only when nobody wants v any more
					end: func(err error) {
						in.close(err)
						sub.finish(err)
					},
				})
			})
		defer func() {
			sub.Dispose()
			<-sub.Done()
		}()
		for range in.tokens {
			older, newer := in.take()
			for _, batch := range [...][]event{older, newer} {
				for _, e := range batch {
					if !yield(e.item, e.err) {
						return
					}
				}
			}
			clear(in.last)
		}
		if err := in.cause(); err != nil {
			var none T
			yield(none, err)
		}
	}
}
