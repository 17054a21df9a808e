package observables_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/reactivex/rxgo/v2"

	"github.com/agentmesh/agentmesh/observables"
)

func double(_ context.Context, v any) (any, error) { return 2 * v.(int), nil }

func TestRxSplicesNativeOperators(t *testing.T) {
	t.Parallel()
	for _, buf := range []int{0, 16} {
		s := observables.NewSubject[int](observables.Config{})
		odd := errors.New("multiple of ten")
		chain := s.Stream().Pipe(observables.Rx[int, int](buf, func(o rxgo.Observable) rxgo.Observable {
			return o.Map(func(_ context.Context, v any) (any, error) {
				if v.(int)%10 == 0 {
					return nil, odd
				}
				return v, nil
			}).Map(double).Filter(func(v any) bool { return v.(int) != 4 })
		}))
		var got []int
		var failed int
		sub := chain.Subscribe(t.Context(), func(v int) { got = append(got, v) }, func(err error) {
			if errors.Is(err, odd) {
				failed++
			}
		}, nil)
		for i := range 100 {
			s.OnNext(i)
		}
		s.OnCompleted()
		wait(t, "done", sub.Done())
		if len(got) != 89 || !slices.IsSorted(got) || failed != 10 || sub.Err() != nil {
			t.Errorf("buf %d: got %d items, %d failed, %v; want 89, 10, nil", buf, len(got), failed, sub.Err())
		}
	}
}

func TestRxEnds(t *testing.T) {
	t.Parallel()
	ops := map[string]func(rxgo.Observable) rxgo.Observable{
		"map": func(o rxgo.Observable) rxgo.Observable { return o.Map(double) },
		"flatmap": func(o rxgo.Observable) rxgo.Observable {
			return o.FlatMap(func(it rxgo.Item) rxgo.Observable { return rxgo.Just(it.V, it.V)() })
		},
		"take": func(o rxgo.Observable) rxgo.Observable { return o.Take(1) },
	}
	broken := errors.New("broken")
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, end := range []string{"dispose", "busy dispose", "complete", "error"} {
				s := observables.NewSubject[int](observables.Config{})
				block := make(chan struct{})
				sub := s.Stream().Pipe(observables.Rx[int, int](1, op)).Subscribe(t.Context(), func(int) { <-block }, nil, nil)
				var want error
				switch end {
				case "dispose":
					sub.Dispose()
					want = observables.ErrDisposed
				case "busy dispose":
					_ = s.PublishBatch(t.Context(), seq(500))
					sub.Dispose()
					want = observables.ErrDisposed
				case "complete":
					_ = s.PublishBatch(t.Context(), seq(5))
					s.OnCompleted()
				case "error":
					s.OnError(broken)
					want = broken
				}
				close(block)
				wait(t, name+" "+end, sub.Done())
				if !errors.Is(sub.Err(), want) || s.Subscribers() != 0 {
					t.Errorf("%s: got %v and %d subscribers, want %v and 0", end, sub.Err(), s.Subscribers(), want)
				}
			}
		})
	}
}

func TestRxThatEndsEarlyCompletes(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	_, got := collect(t, s.Stream().Pipe(observables.Rx[int, int](4, func(o rxgo.Observable) rxgo.Observable {
		return rxgo.Defer([]rxgo.Producer{func(ctx context.Context, next chan<- rxgo.Item) {
			in := o.Map(double).Observe(rxgo.WithContext(ctx))
			for range 3 {
				(<-in).SendContext(ctx, next)
			}
		}})
	})))
	_ = s.PublishBatch(t.Context(), seq(100))
	if want := []int{0, 2, 4}; !slices.Equal(got(), want) {
		t.Errorf("got %v, want %v", got(), want)
	}
	if n := s.Subscribers(); n != 0 {
		t.Errorf("%d subscribers left, want 0", n)
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	_, got := collect(t, observables.From[int](rxgo.Range(0, 100).Map(double)))
	if len(got()) != 100 || got()[99] != 198 {
		t.Errorf("got %d items", len(got()))
	}
	var failed []error
	sub := observables.From[int](rxgo.Just(1, "two", 3)()).Subscribe(t.Context(), nil, func(err error) { failed = append(failed, err) }, nil)
	wait(t, "done", sub.Done())
	var item *observables.ItemError
	if len(failed) != 1 || !errors.As(failed[0], &item) || item.Item != "two" {
		t.Errorf("got %v, want an ItemError with the string", failed)
	}
	endless := make(chan rxgo.Item)
	for _, o := range []rxgo.Observable{rxgo.FromChannel(endless), rxgo.FromChannel(endless).Map(double)} {
		sub = observables.From[int](o).Subscribe(t.Context(), nil, nil, nil)
		sub.Dispose()
		wait(t, "disposed", sub.Done())
	}
}

func TestObservable(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	o := s.Stream().Pipe(observables.MapErr(func(v int) (int, error) {
		if v == 5 {
			return 0, errors.New("five")
		}
		return v, nil
	})).Observable()
	ctx, cancel := context.WithCancel(t.Context())
	var chans []<-chan rxgo.Item
	for range 3 {
		chans = append(chans, o.Map(double).Observe(rxgo.WithContext(ctx), rxgo.WithBufferedChannel(100), rxgo.WithErrorStrategy(rxgo.ContinueOnError)))
	}
	gone := o.Observe(rxgo.WithContext(ctx))
	for s.Subscribers() < 4 {
		runtime.Gosched()
	}
	_ = s.PublishBatch(t.Context(), seq(10))
	s.OnError(errors.New("the end"))
	for i, ch := range chans {
		var sum, errs int
		for it := range ch {
			if it.E != nil {
				errs++
			} else {
				sum += it.V.(int)
			}
		}
		if sum != 80 || errs != 2 {
			t.Errorf("observer %d: got sum %d and %d errors, want 80 and 2", i, sum, errs)
		}
	}
	cancel() // frees the one that never reads
	for range gone {
	}
}

func TestTap(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := s.Stream().Tap(ctx, 4)
	_ = s.PublishBatch(t.Context(), seq(100)) // before anyone observes
	s.OnCompleted()
	var got []int
	for it := range o.Map(double).Observe(rxgo.WithContext(ctx)) {
		got = append(got, it.V.(int)/2)
	}
	if !slices.Equal(got, seq(100)) {
		t.Errorf("got %v, want 0 to 99", got)
	}
	s = observables.NewSubject[int](observables.Config{})
	o = s.Stream().Tap(ctx, 0)
	s.OnNext(1) // nobody reads it
	cancel()
	<-o.ForEach(func(any) {}, func(error) {}, func() {})
}
