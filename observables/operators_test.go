package observables_test

import (
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/agentmesh/agentmesh/observables"
)

func TestOperators(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	var seen atomic.Int64
	_, got := collect(t, observables.Pipe5(s.Stream(),
		observables.Filter(func(v int) bool { return v%2 == 0 }),
		observables.Do(func(int) { seen.Add(1) }),
		observables.Map(strconv.Itoa),
		observables.FlatMap(func(v string, emit func(string)) { emit(v); emit(v + "!") }),
		observables.MapErr(func(v string) (string, error) { return v, nil })))
	_ = s.PublishBatch(t.Context(), seq(5))
	s.OnCompleted()
	if want := []string{"0", "0!", "2", "2!", "4", "4!"}; !slices.Equal(got(), want) || seen.Load() != 3 {
		t.Errorf("got %q and %d seen, want %q and 3", got(), seen.Load(), want)
	}
}

func TestErrorsAndPanicsCostTheirItems(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	odd := errors.New("odd")
	chain := observables.Pipe2(s.Stream(),
		observables.MapErr(func(v int) (int, error) {
			if v%10 == 1 {
				return 0, odd
			}
			return v, nil
		}),
		observables.Map(func(v int) int {
			if v%10 == 2 {
				panic("two")
			}
			return v
		}))
	var good, failed, panicked int
	sub := chain.Subscribe(t.Context(), func(int) { good++ }, func(err error) {
		var item *observables.ItemError
		switch {
		case !errors.As(err, &item):
			t.Errorf("got %T, want *ItemError", err)
		case item.Panic != nil:
			panicked++
		case errors.Is(err, odd):
			failed++
		}
	}, nil)
	for i := range 1000 {
		s.OnNext(i)
	}
	s.OnCompleted()
	wait(t, "done", sub.Done())
	if good != 800 || failed != 100 || panicked != 100 {
		t.Errorf("got %d good, %d failed, %d panicked; want 800, 100, 100", good, failed, panicked)
	}
}

func TestSubscribeBatchBehindOperators(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	var got []int
	var calls int
	sub := s.Stream().Pipe(observables.Filter(func(v int) bool { return v != 3 })).
		SubscribeBatch(t.Context(), func(b []int) { got = append(got, b...); calls++ }, nil, nil)
	_ = s.PublishBatch(t.Context(), seq(100))
	s.OnCompleted()
	wait(t, "done", sub.Done())
	if len(got) != 99 || calls != 1 {
		t.Errorf("got %d items in %d calls, want 99 in 1", len(got), calls)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	a, b := observables.NewSubject[int](observables.Config{}), observables.NewSubject[int](observables.Config{})
	_, got := collect(t, observables.Merge(a.Stream(), b.Stream().Pipe(observables.Map(func(v int) int { return -v }))))
	for i := 1; i <= 5000; i++ {
		a.OnNext(i)
		b.OnNext(i)
	}
	a.OnCompleted()
	b.OnCompleted()
	var pos, neg int
	for _, v := range got() {
		switch v {
		case pos + 1:
			pos++
		case neg - 1:
			neg--
		default:
			t.Fatalf("got %d after %d and %d", v, pos, neg)
		}
	}
	if pos != 5000 || neg != -5000 {
		t.Errorf("got up to %d and %d, want 5000 and -5000", pos, neg)
	}
	_, none := collect(t, observables.Merge[int]())
	if len(none()) != 0 {
		t.Error("an empty merge has items")
	}
}

func TestMergeEndsWithTheFirstErrorAndOnDispose(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	a, b := observables.NewSubject[int](observables.Config{}), observables.NewSubject[int](observables.Config{})
	sub := observables.Merge(a.Stream(), b.Stream()).Subscribe(t.Context(), nil, nil, nil)
	a.OnError(broken)
	wait(t, "done", sub.Done())
	if !errors.Is(sub.Err(), broken) || b.Subscribers() != 0 {
		t.Errorf("got %v and %d subscribers, want %v and 0", sub.Err(), b.Subscribers(), broken)
	}
	block := make(chan struct{})
	sub = observables.Merge(b.Stream(), b.Stream()).Subscribe(t.Context(), func(int) { <-block }, nil, nil)
	_ = b.PublishBatch(t.Context(), seq(1000))
	_ = b.PublishBatch(t.Context(), seq(1000)) // everything is full on the way
	sub.Dispose()
	close(block)
	wait(t, "disposed", sub.Done())
	if !errors.Is(sub.Err(), observables.ErrDisposed) {
		t.Errorf("got %v, want ErrDisposed", sub.Err())
	}
}

func TestMergeLeavesTheOthersAtTheFirstError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := observables.NewSubject[int](observables.Config{}), observables.NewSubject[int](observables.Config{})
		free := make(chan struct{})
		sub := observables.Merge(a.Stream(), b.Stream()).Subscribe(t.Context(), func(int) { <-free }, nil, nil)
		a.OnNext(1)
		a.OnError(errors.New("broken"))
		synctest.Wait()
		if n := b.Subscribers(); n != 0 {
			t.Errorf("%d subscribers while the handler is busy, want 0", n)
		}
		close(free)
		<-sub.Done()
	})
}

func TestPipes(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	inc := observables.Map(func(v int) int { return v + 1 })
	text := observables.Map(strconv.Itoa)
	_, two := collect(t, observables.Pipe2(s.Stream(), inc, text))
	_, three := collect(t, observables.Pipe3(s.Stream(), inc, inc, text))
	_, four := collect(t, observables.Pipe4(s.Stream(), inc, inc, inc, text))
	_, five := collect(t, observables.Pipe5(s.Stream(), inc, inc, inc, inc, text))
	_, six := collect(t, observables.Pipe6(s.Stream(), inc, inc, inc, inc, inc, text))
	_, seven := collect(t, observables.Pipe7(s.Stream(), inc, inc, inc, inc, inc, inc, text))
	_, eight := collect(t, observables.Pipe8(s.Stream(), inc, inc, inc, inc, inc, inc, inc, text))
	s.OnNext(0)
	s.OnCompleted()
	if got := slices.Concat(two(), three(), four(), five(), six(), seven(), eight()); !slices.Equal(got, []string{"1", "2", "3", "4", "5", "6", "7"}) {
		t.Errorf("got %q, want 1 to 7", got)
	}
}

func TestShareRunsUpstreamOnce(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	var calls atomic.Int64
	shared := observables.Pipe2(s.Stream(),
		observables.MapErr(func(v int) (int, error) {
			if calls.Add(1); v == 7 {
				return 0, errors.New("seven")
			}
			return v, nil
		}),
		observables.Share[int](observables.Config{}))
	for range 3 { // three generations of subscribers
		calls.Store(0)
		var counts, failures [3]atomic.Int64
		var subs []*observables.Subscription
		all := make(chan struct{}, 3)
		for i := range 3 {
			subs = append(subs, shared.Subscribe(t.Context(), func(int) {
				if counts[i].Add(1) == 99 {
					all <- struct{}{}
				}
			}, func(error) { failures[i].Add(1) }, nil))
		}
		if n := s.Subscribers(); n != 1 {
			t.Errorf("%d upstream subscribers, want 1", n)
		}
		_ = s.PublishBatch(t.Context(), seq(100))
		for range 3 {
			<-all
		}
		for i, sub := range subs {
			if n := s.Subscribers(); n != 1 {
				t.Errorf("%d upstream subscribers before %d left, want 1", n, i)
			}
			sub.Dispose()
			wait(t, "done", sub.Done())
			if failures[i].Load() != 1 {
				t.Errorf("subscriber %d got %d errors, want 1", i, failures[i].Load())
			}
		}
		if n := s.Subscribers(); n != 0 || calls.Load() != 100 {
			t.Errorf("%d upstream subscribers and %d calls, want 0 and 100", n, calls.Load())
		}
	}
	sub := shared.Subscribe(t.Context(), nil, nil, nil)
	s.OnCompleted()
	wait(t, "completed", sub.Done())
	if sub.Err() != nil {
		t.Errorf("got %v, want completion", sub.Err())
	}
}
