package agents

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// ErrStopped is the outcome of work that its agent did not get to before it stopped.
var ErrStopped = errors.New("agents: the agent has stopped")

// Background does slow work beside the handlers: each input given to Submit is passed to one function on
// one of a few goroutines, and whoever submitted it can wait for the outcome. The queue is bounded; Submit
// blocks when it is full. It is safe for concurrent use.
type Background[In, Out any] struct {
	name    string
	work    func(context.Context, In) (Out, error)
	queue   chan task[In, Out]
	stopped chan struct{}
}

type task[In, Out any] struct {
	in  In
	out *Outcome[Out]
}

// NewBackground adds background work to an agent, before Run. workers goroutines (0 means 1) take inputs
// in the order of Submit from a queue of the given size (0 means 64). work must return when its ctx ends,
// which is when the agent stops; its panics are the errors of their input.
func NewBackground[In, Out any](a *Agent, name string, workers, queue int, work func(context.Context, In) (Out, error)) *Background[In, Out] {
	def(&workers, 1)
	def(&queue, 64)
	b := &Background[In, Out]{name: name, work: work, queue: make(chan task[In, Out], queue), stopped: make(chan struct{})}
	a.background = append(a.background, func(ctx context.Context) error { return b.run(ctx, workers) })
	return b
}

// Submit queues in and returns at once, or when there is room. The outcome need not be waited for.
func (b *Background[In, Out]) Submit(ctx context.Context, in In) (*Outcome[Out], error) {
	t := task[In, Out]{in: in, out: &Outcome[Out]{done: make(chan struct{})}}
	select {
	case <-b.stopped:
		return nil, ErrStopped
	default:
	}
	select {
	case b.queue <- t:
		return t.out, nil
	case <-b.stopped:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Outcome is what became of one input.
type Outcome[Out any] struct {
	done chan struct{}
	once sync.Once
	out  Out
	err  error
}

// Wait returns what the work returned, as soon as it has, or the error of ctx if that ends first. It may
// be called any number of times.
func (o *Outcome[Out]) Wait(ctx context.Context) (Out, error) {
	select {
	case <-o.done:
		return o.out, o.err
	case <-ctx.Done():
		var none Out
		return none, ctx.Err()
	}
}

func (o *Outcome[Out]) settle(out Out, err error) {
	o.once.Do(func() {
		o.out, o.err = out, err
		close(o.done)
	})
}

func (b *Background[In, Out]) run(ctx context.Context, workers int) error {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case t := <-b.queue:
					if ctx.Err() != nil { // both were ready
						var none Out
						t.out.settle(none, ErrStopped)
						return
					}
					b.do(ctx, t)
				}
			}
		})
	}
	<-ctx.Done()
	close(b.stopped)
	all.Wait()
	b.abandon()
	return nil
}

// abandon settles what nobody will work on any more.
func (b *Background[In, Out]) abandon() {
	for {
		select {
		case t := <-b.queue:
			var none Out
			t.out.settle(none, ErrStopped)
		default:
			return
		}
	}
}

func (b *Background[In, Out]) do(ctx context.Context, t task[In, Out]) {
	defer func() {
		if p := recover(); p != nil {
			var none Out
			t.out.settle(none, fmt.Errorf("agents: background %s panicked: %v\n%s", b.name, p, debug.Stack()))
		}
	}()
	out, err := b.work(ctx, t.in)
	t.out.settle(out, err)
}
