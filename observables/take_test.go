package observables_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

func TestTakeEndsAndLeaves(t *testing.T) {
	t.Parallel()
	small := observables.Filter(func(v int) bool { return v < 100 })
	below := func(n int) func(int) bool { return func(v int) bool { return v < n } }
	for name, c := range map[string]struct {
		op   observables.Op[int, int]
		want []int
	}{
		"take 0":     {observables.Take[int](0), nil},
		"take 1":     {observables.Take[int](1), seq(1)},
		"take 5":     {observables.Take[int](5), seq(5)},
		"take while": {observables.TakeWhile(below(7)), seq(7)},
		"take in a chain": {func(s observables.Stream[int]) observables.Stream[int] {
			return s.Pipe(small, observables.Take[int](5), small)
		}, seq(5)},
		"take before share": {func(s observables.Stream[int]) observables.Stream[int] {
			return s.Pipe(observables.Take[int](5), observables.Share[int](observables.Config{Buffer: 1}))
		}, seq(5)},
		"take behind merge": {func(s observables.Stream[int]) observables.Stream[int] {
			return observables.Merge(s).Pipe(observables.Take[int](5))
		}, seq(5)},
		"take twice": {func(s observables.Stream[int]) observables.Stream[int] {
			return s.Pipe(observables.Take[int](6), observables.Take[int](4))
		}, seq(4)},
		"take and start with": {func(s observables.Stream[int]) observables.Stream[int] {
			return s.Pipe(observables.Skip[int](2), observables.StartWith(0, 1), observables.Take[int](6))
		}, seq(6)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := observables.NewSubject[int](observables.Config{})
			var items, batches []int
			a := c.op(s.Stream()).Subscribe(t.Context(), func(v int) { items = append(items, v) }, nil, nil)
			b := c.op(s.Stream()).SubscribeBatch(t.Context(), func(v []int) { batches = append(batches, v...) }, nil, nil)
			_ = s.PublishBatch(t.Context(), seq(100))
			wait(t, "done", a.Done())
			wait(t, "done batch", b.Done())
			if !slices.Equal(items, c.want) || !slices.Equal(batches, c.want) || a.Err() != nil || b.Err() != nil {
				t.Errorf("got %v, %v and %v, %v; want %v twice, completed", items, a.Err(), batches, b.Err(), c.want)
			}
			if n := s.Subscribers(); n != 0 {
				t.Errorf("%d subscribers left, want 0", n)
			}
		})
	}
}

func TestTakeEndsThoughTheLastItemPanics(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	var calls []string
	sub := s.Stream().Pipe(observables.Take[int](1)).Subscribe(t.Context(), func(int) { panic("bug") },
		func(error) { calls = append(calls, "error") }, func(error) { calls = append(calls, "done") })
	s.OnNext(1)
	wait(t, "done", sub.Done())
	if !slices.Equal(calls, []string{"error", "done"}) {
		t.Errorf("got %v, want error done", calls)
	}
}

func TestTakeBeforeCheckAnswersAll(t *testing.T) {
	t.Parallel()
	c := newChecker(t, checkConfig{Lookup: func(ctx context.Context, _ string) (int, error) { return 1, ctx.Err() }})
	s := observables.NewSubject[msg](observables.Config{})
	var good int
	sub := c.Op()(s.Stream().Pipe(observables.Take[msg](50))).Subscribe(t.Context(), func(v checked) {
		if v.Err == nil {
			good++
		}
	}, nil, nil)
	for i := range 100 {
		s.OnNext(msg{client: i % 7, session: string(rune('a' + i%5))})
	}
	wait(t, "done", sub.Done())
	if good != 50 {
		t.Errorf("got %d answers, want 50", good)
	}
}

func TestTakeUntil(t *testing.T) {
	t.Parallel()
	s, stop := observables.NewSubject[int](observables.Config{}), observables.NewSubject[string](observables.Config{})
	seen := make(chan int, 10)
	chain := s.Stream().Pipe(observables.TakeUntil[int](stop.Stream()))
	sub := chain.Subscribe(t.Context(), func(v int) { seen <- v }, nil, nil)
	s.OnNext(1)
	<-seen
	stop.OnNext("now")
	wait(t, "done", sub.Done())
	broken := errors.New("broken")
	failed := chain.Subscribe(t.Context(), nil, nil, nil)
	s.OnError(broken)
	wait(t, "failed", failed.Done())
	if sub.Err() != nil || !errors.Is(failed.Err(), broken) || s.Subscribers()+stop.Subscribers() != 0 {
		t.Errorf("got %v, %v and %d subscribers; want completion, %v and 0", sub.Err(), failed.Err(), s.Subscribers()+stop.Subscribers(), broken)
	}
}
