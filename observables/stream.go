package observables

import "context"

// sink is where a stage hands its items. A source calls next and flush on one goroutine, end once and
// last, also when it was closed from outside.
type sink[T any] struct {
	next  func(T)
	flush func()      // the natural batch is over; may be nil
	batch func([]T)   // takes a whole batch in place of next and flush; only terminals have it
	end   func(error) // nil means completed
}

// Stream is a description of a flow of items. It is a value: nothing runs until Subscribe, and each
// Subscribe runs its own copy of the operators.
type Stream[T any] struct {
	attach func(ctx context.Context, sc *scope, k sink[T])
}

// Op makes one stream from another.
type Op[A, B any] func(Stream[A]) Stream[B]

// Subscribe starts the flow and returns when it is registered with its sources: what is published after
// that arrives. Callbacks may be nil. onNext and onDone run on one goroutine, never concurrently; onDone is
// the last. onError gets an *ItemError for each item that failed; in a chain with more than one goroutine
// (Check, Merge, Share, Rx, operators with a clock) it may run beside onNext. The subscription ends with ctx.
func (s Stream[T]) Subscribe(ctx context.Context, onNext func(T), onError func(error), onDone func(error)) *Subscription {
	if onNext == nil {
		onNext = func(T) {}
	}
	return start(ctx, onError, onDone, func(ctx context.Context, sub *Subscription) {
		s.attach(ctx, &sub.root, sink[T]{next: onNext, end: sub.finish})
	})
}

// SubscribeBatch is Subscribe for handlers that work on many items at once. onNext gets what had piled up
// while it was busy: one item when the stream is slow, up to the buffer's size when it is fast. The slice is
// valid only during the call. A panic costs the batch.
func (s Stream[T]) SubscribeBatch(ctx context.Context, onNext func([]T), onError func(error), onDone func(error)) *Subscription {
	if onNext == nil {
		onNext = func([]T) {}
	}
	return start(ctx, onError, onDone, func(ctx context.Context, sub *Subscription) {
		s.attach(ctx, &sub.root, gather(&sub.root, onNext, sub.finish))
	})
}

// gather makes batches from items: whole from a source that has them whole, else by collecting.
func gather[T any](sc *scope, onNext func([]T), end func(error)) sink[T] {
	var pile []T
	return sink[T]{
		next: func(v T) { pile = append(pile, v) },
		flush: func() {
			deliverBatch(sc, pile, onNext)
			clear(pile)
			pile = pile[:0]
		},
		batch: onNext,
		end:   end,
	}
}

// Pipe applies operators that keep the type. For others see Pipe2 and its siblings.
func (s Stream[T]) Pipe(ops ...Op[T, T]) Stream[T] {
	for _, op := range ops {
		s = op(s)
	}
	return s
}
