package observables_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/reactivex/rxgo/v2"

	"github.com/agentmesh/agentmesh/observables"
)

// A test that fails inside a handler, for example, ends the handler's goroutine.
func TestGoexitEndsTheSubscription(t *testing.T) {
	t.Parallel()
	at := func(n int) func(int) int {
		return func(v int) int {
			if v == n {
				runtime.Goexit()
			}
			return v
		}
	}
	exit := observables.Map(at(3))
	native := observables.Rx[int, int](1, func(o rxgo.Observable) rxgo.Observable {
		return o.Map(func(_ context.Context, v any) (any, error) { return v, nil })
	})
	merge := func(s observables.Stream[int]) observables.Stream[int] { return observables.Merge(s) }
	for name, ops := range map[string][]observables.Op[int, int]{
		"operator":     {exit},
		"before merge": {exit, merge},
		"after merge":  {merge, exit},
		"before share": {exit, observables.Share[int](observables.Config{})},
		"before rx":    {exit, native},
		"after rx":     {native, exit},
		"before take":  {exit, observables.Take[int](7)},
		"after take":   {observables.Take[int](7), exit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, batch := range []bool{false, true} {
				s := observables.NewSubject[int](observables.Config{Buffer: 2})
				chain, done := s.Stream().Pipe(ops...), make(chan error, 1)
				end := func(err error) { done <- err }
				var sub *observables.Subscription
				if batch {
					sub = chain.SubscribeBatch(t.Context(), nil, nil, end)
				} else {
					sub = chain.Subscribe(t.Context(), nil, nil, end)
				}
				for i := range 10 {
					s.OnNext(i)
				}
				wait(t, "done", sub.Done())
				if err := <-done; !errors.Is(err, observables.ErrGoexit) || !errors.Is(sub.Err(), err) {
					t.Errorf("ended with %v and %v, want %v", err, sub.Err(), observables.ErrGoexit)
				}
				if n := s.Subscribers(); n != 0 {
					t.Errorf("%d subscribers left, want 0", n)
				}
			}
		})
	}
}

func TestGoexitInACallbackEndsTheSubscription(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	next := s.Stream().Subscribe(t.Context(), func(int) { runtime.Goexit() }, nil, nil)
	batch := s.Stream().SubscribeBatch(t.Context(), func([]int) { runtime.Goexit() }, nil, nil)
	failed := s.Stream().Subscribe(t.Context(), func(int) { panic("bug") }, func(error) { runtime.Goexit() }, nil)
	done := s.Stream().Subscribe(t.Context(), nil, nil, func(error) { runtime.Goexit() })
	s.OnNext(1)
	for _, sub := range []*observables.Subscription{next, batch, failed} {
		wait(t, "done", sub.Done())
		if !errors.Is(sub.Err(), observables.ErrGoexit) {
			t.Errorf("got %v, want %v", sub.Err(), observables.ErrGoexit)
		}
	}
	s.OnCompleted()
	wait(t, "done", done.Done())
	if done.Err() != nil {
		t.Errorf("got %v, want completion", done.Err())
	}
}
