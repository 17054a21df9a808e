package observables

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/reactivex/rxgo/v2"
)

// Observable is the stream for native rxgo operators: any number of observers, each with a subscription of
// its own. rxgo registers observers on a goroutine, so the first items after an Observe may be missed. An
// observer that stops early must end the context it observes with, or its subscription stays. Item errors
// and a terminal error arrive as error items: give rxgo.WithErrorStrategy(rxgo.ContinueOnError).
func (s Stream[T]) Observable() rxgo.Observable {
	return rxgo.Defer([]rxgo.Producer{func(ctx context.Context, next chan<- rxgo.Item) {
		sub := s.Subscribe(ctx,
			func(v T) { rxgo.Item{V: v}.SendContext(ctx, next) },
			func(err error) { rxgo.Error(err).SendContext(ctx, next) },
			nil)
		<-sub.Done()
		if err := sub.Err(); err != nil {
			rxgo.Error(err).SendContext(ctx, next)
		}
	}})
}

// Tap subscribes at once, so nothing published after it is missed, and gives the items to one native
// observer, with buf items of buffer. It ends with ctx; errors arrive as with Observable.
func (s Stream[T]) Tap(ctx context.Context, buf int) rxgo.Observable {
	items := make(chan rxgo.Item, buf)
	sub := s.Subscribe(ctx,
		func(v T) { rxgo.Item{V: v}.SendContext(ctx, items) },
		func(err error) { rxgo.Error(err).SendContext(ctx, items) },
		nil)
	go func() { // ends with the subscription; who reads until the close has joined it
		defer close(items)
		<-sub.Done()
		if err := sub.Err(); err != nil {
			rxgo.Error(err).SendContext(ctx, items)
		}
	}()
	return rxgo.FromChannel(items, rxgo.WithContext(ctx))
}

// From makes a stream of a native observable. Each Subscribe observes o, so share what may be observed only
// once. Error items and items that are no T are reported as item errors. When the subscription ends,
// operators of o that ignore rxgo.WithContext stay until their source ends: that is rxgo's.
func From[T any](o rxgo.Observable) Stream[T] {
	return Stream[T]{attach: func(ctx context.Context, sc *scope, k sink[T]) {
		items := o.Observe(rxgo.WithContext(ctx), rxgo.WithErrorStrategy(rxgo.ContinueOnError))
		produce(sc, k.end, func() error {
			pull(ctx, sc, items, k)
			return nil
		})
	}}
}

// Rx puts native rxgo operators into a typed chain: op gets a native observable of the A and returns one of
// B, with buf items of buffer at both ends. It costs some hundred nanoseconds an item. op is called for each
// subscription and must build a new chain each time. The subscription is done when the native chain has
// closed its channel, which it does when its source closes or its context ends. Errors must not end it
// (rxgo.ContinueOnError), and under that strategy rxgo's Take, First and their like go silent instead of
// completing: use the typed ones.
func Rx[A, B any](buf int, op func(rxgo.Observable) rxgo.Observable) Op[A, B] {
	return func(s Stream[A]) Stream[B] {
		return Stream[B]{attach: func(ctx context.Context, sc *scope, k sink[B]) {
			ctx, up := sc.child(ctx)
			in := make(chan rxgo.Item, buf)
			out := op(rxgo.FromChannel(in)).Observe(rxgo.WithContext(ctx), rxgo.WithBufferedChannel(buf),
				rxgo.WithErrorStrategy(rxgo.ContinueOnError))
			var ended atomic.Pointer[error] // how the stages above ended; they may outlive the native chain
			produce(sc, k.end, func() error {
				defer func() {
					up.close(ErrDisposed)
					for range out { // operators that ignore the context need a reader until their source is closed
					}
				}()
				pull(ctx, sc, out, k)
				if e := ended.Load(); e != nil {
					return *e
				}
				return nil
			})
			s.attach(ctx, up, sink[A]{
				next: func(v A) { rxgo.Item{V: v}.SendContext(ctx, in) },
				end:  func(err error) { ended.Store(&err); close(in) },
			})
		}}
	}
}

// pull hands the items of a native observable to k until the channel is closed or ctx ends.
func pull[T any](ctx context.Context, sc *scope, items <-chan rxgo.Item, k sink[T]) {
	one := make([]T, 1)
	hand := func(it rxgo.Item) {
		v, ok := it.V.(T)
		switch {
		case it.E != nil:
			sc.sub.report(nativeError(it.E))
		case !ok:
			sc.sub.report(&ItemError{Item: it.V, Err: fmt.Errorf("observables: native item is a %T, want %T", it.V, v)})
		default:
			one[0] = v
			deliver(sc, one, k.next)
			clear(one)
		}
	}
	for {
		select {
		case it, ok := <-items:
			if !ok {
				return
			}
			hand(it)
			for range len(items) { // the natural batch: only this goroutine reads
				if it, ok = <-items; ok {
					hand(it)
				}
			}
			flush(sc, k.flush)
		case <-ctx.Done():
			return
		}
	}
}

// nativeError keeps an item error that only passed through rxgo as it is.
func nativeError(err error) error {
	if item, ok := err.(*ItemError); ok {
		return item
	}
	return &ItemError{Err: err}
}
