package observables_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

// collect subscribes and gives what arrived, once the subscription is done.
func collect[T any](t *testing.T, s observables.Stream[T]) (sub *observables.Subscription, items func() []T) {
	t.Helper()
	var got []T
	sub = s.Subscribe(t.Context(), func(v T) { got = append(got, v) }, func(err error) { t.Errorf("item error: %v", err) }, nil)
	return sub, func() []T {
		t.Helper()
		wait(t, "done", sub.Done())
		return got
	}
}

func TestEverySubscriberGetsEveryItemInOrder(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{Buffer: 64})
	const n = 50_000
	var items []func() []int
	for range 4 {
		_, got := collect(t, s.Stream())
		items = append(items, got)
	}
	for i := range n / 2 {
		s.OnNext(i)
	}
	if err := s.PublishBatch(t.Context(), seq(n)[n/2:]); err != nil {
		t.Fatal(err)
	}
	s.OnCompleted()
	for i, got := range items {
		if !slices.Equal(got(), seq(n)) {
			t.Errorf("subscriber %d got %d items, or not in order", i, len(got()))
		}
	}
}

func TestNothingPublishedAfterSubscribeIsLost(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	for i := range 2000 {
		first := make(chan int, 1)
		sub := s.Stream().Subscribe(t.Context(), func(v int) { first <- v }, nil, nil)
		s.OnNext(i)
		if got := <-first; got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
		sub.Dispose()
		wait(t, "done", sub.Done())
	}
	if n := s.Subscribers(); n != 0 {
		t.Errorf("%d subscribers left, want 0", n)
	}
}

func TestOverflowPolicies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy  observables.Overflow
		want    []int
		dropped uint64
		err     error
	}{
		{observables.DropOldest, []int{0, 7, 8, 9}, 6, nil},
		{observables.DropNewest, []int{0, 1, 2, 3}, 6, nil},
		{observables.Fail, []int{0, 1, 2, 3}, 1, observables.ErrOverflow},
	} {
		for _, batch := range []bool{false, true} {
			t.Run(c.policy.String(), func(t *testing.T) {
				t.Parallel()
				s := observables.NewSubject[int](observables.Config{Buffer: 3, Overflow: c.policy})
				busy, free := make(chan struct{}), make(chan struct{})
				var got []int
				sub := s.Stream().Subscribe(t.Context(), func(v int) {
					if v == 0 {
						close(busy)
						<-free
					}
					got = append(got, v)
				}, nil, nil)
				s.OnNext(0)
				<-busy // item 0 is being handled, the buffer is empty
				if batch {
					_ = s.PublishBatch(t.Context(), seq(10)[1:])
				} else {
					for _, v := range seq(10)[1:] {
						s.OnNext(v)
					}
				}
				close(free)
				s.OnCompleted()
				wait(t, "done", sub.Done())
				if !slices.Equal(got, c.want) || sub.Dropped() != c.dropped || !errors.Is(sub.Err(), c.err) {
					t.Errorf("got %v, %d dropped, %v; want %v, %d, %v", got, sub.Dropped(), sub.Err(), c.want, c.dropped, c.err)
				}
			})
		}
	}
}

func TestBlockedPublisherReturnsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := observables.NewSubject[int](observables.Config{Buffer: 1})
		free := make(chan struct{})
		var other []int
		sub := s.Stream().Subscribe(t.Context(), func(int) { <-free }, nil, nil)
		fast := s.StreamWith(observables.Config{Buffer: 8}).Subscribe(t.Context(), func(v int) { other = append(other, v) }, nil, nil)
		s.OnNext(0)
		synctest.Wait()
		s.OnNext(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Publish(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish: got %v, want deadline exceeded", err)
		}
		if err := s.PublishBatch(ctx, []int{3, 4}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("PublishBatch: got %v, want deadline exceeded", err)
		}
		synctest.Wait()
		if !slices.Equal(other, seq(5)) {
			t.Errorf("the other subscriber got %v, want %v", other, seq(5))
		}
		close(free)
		s.OnCompleted()
		<-sub.Done()
		<-fast.Done()
	})
}

func TestEndFreesABlockedPublisher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := observables.NewSubject[int](observables.Config{Buffer: 1})
		free := make(chan struct{})
		sub := s.Stream().Subscribe(t.Context(), func(int) { <-free }, nil, nil)
		s.OnNext(0)
		synctest.Wait()
		s.OnNext(1)
		errs := make(chan error, 2)
		go func() { errs <- s.Publish(t.Context(), 2) }()
		go func() { errs <- s.PublishBatch(t.Context(), seq(3)) }()
		synctest.Wait()
		s.OnCompleted()
		for range 2 {
			if err := <-errs; !errors.Is(err, observables.ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		}
		close(free)
		<-sub.Done()
	})
}

func TestDisposeFreesABlockedPublisher(t *testing.T) {
	t.Parallel()
	for range 200 {
		s := observables.NewSubject[int](observables.Config{Buffer: 1})
		sub := s.Stream().Subscribe(t.Context(), func(int) {}, nil, nil)
		block := make(chan struct{})
		slow := s.Stream().Subscribe(t.Context(), func(int) { <-block }, nil, nil)
		published := make(chan struct{})
		go func() {
			defer close(published)
			for i := range 10 {
				s.OnNext(i)
			}
		}()
		slow.Dispose()
		wait(t, "publisher", published)
		close(block)
		sub.Dispose()
		wait(t, "slow done", slow.Done())
		wait(t, "done", sub.Done())
		if !errors.Is(sub.Err(), observables.ErrDisposed) {
			t.Fatalf("Err: got %v, want ErrDisposed", sub.Err())
		}
	}
}

func TestDisposeInHandlerIsTheLastItem(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	var sub *observables.Subscription
	var n, ends int
	ready := make(chan struct{})
	sub = s.Stream().Subscribe(t.Context(), func(int) { <-ready; n++; sub.Dispose(); sub.Dispose() }, nil, func(error) { ends++ })
	close(ready)
	_ = s.PublishBatch(t.Context(), seq(100))
	wait(t, "done", sub.Done())
	if n != 1 || ends != 1 {
		t.Errorf("got %d items and %d ends, want 1 and 1", n, ends)
	}
}

func TestContextEndsSubscription(t *testing.T) {
	t.Parallel()
	reason := errors.New("reason")
	s := observables.NewSubject[int](observables.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	sub := s.Stream().Subscribe(ctx, nil, nil, nil)
	if s.Subscribers() != 1 {
		t.Errorf("got %d subscribers, want 1", s.Subscribers())
	}
	cancel(reason)
	wait(t, "done", sub.Done())
	if !errors.Is(sub.Err(), reason) || s.Subscribers() != 0 {
		t.Errorf("got %v and %d subscribers, want %v and 0", sub.Err(), s.Subscribers(), reason)
	}
	late := s.Stream().Subscribe(ctx, nil, nil, nil)
	wait(t, "late done", late.Done())
	if !errors.Is(late.Err(), reason) {
		t.Errorf("late: got %v, want %v", late.Err(), reason)
	}
}

func TestEndOfSubject(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, want := range []error{nil, broken} {
		s := observables.NewSubject[int](observables.Config{})
		var got int
		end := errors.New("onDone was not called")
		sub := s.Stream().Subscribe(t.Context(), func(int) { got++ }, nil, func(err error) { end = err })
		_ = s.PublishBatch(t.Context(), seq(100))
		s.OnError(want)
		s.OnError(errors.New("second end"))
		wait(t, "done", sub.Done())
		if got != 100 || end != want || sub.Err() != want {
			t.Errorf("got %d items, onDone(%v), Err %v; want 100, %v twice", got, end, sub.Err(), want)
		}
		late := s.Stream().Subscribe(t.Context(), nil, nil, nil)
		wait(t, "late done", late.Done())
		if late.Err() != want {
			t.Errorf("late: got %v, want %v", late.Err(), want)
		}
		if err := s.Publish(t.Context(), 1); !errors.Is(err, observables.ErrClosed) {
			t.Errorf("Publish: got %v, want ErrClosed", err)
		}
		if err := s.PublishBatch(t.Context(), seq(2)); !errors.Is(err, observables.ErrClosed) {
			t.Errorf("PublishBatch: got %v, want ErrClosed", err)
		}
		s.OnNext(1)
	}
}

func TestPanicCostsOneItem(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	bug := errors.New("bug")
	var good int
	var failed []any
	sub := s.Stream().Subscribe(t.Context(), func(v int) {
		if v%10 == 3 {
			panic(bug)
		}
		good++
	}, func(err error) {
		var item *observables.ItemError
		if errors.As(err, &item) && item.Panic == "so has onDone" {
			return
		}
		if !errors.As(err, &item) || !errors.Is(err, bug) || len(item.Stack) == 0 || item.Panic == nil {
			t.Errorf("got %v, want an ItemError with the panic", err)
			return
		}
		failed = append(failed, item.Item)
		panic("onError has a bug, too")
	}, func(error) { panic("so has onDone") })
	_ = s.PublishBatch(t.Context(), seq(30))
	s.OnCompleted()
	wait(t, "done", sub.Done())
	if good != 27 || !slices.Equal(failed, []any{3, 13, 23}) {
		t.Errorf("got %d good and %v failed, want 27 and 3 13 23", good, failed)
	}
}

func TestSubscribeBatch(t *testing.T) {
	t.Parallel()
	for _, buffer := range []int{1, 7, 64} {
		s := observables.NewSubject[int](observables.Config{Buffer: buffer})
		var got []int
		var sizes []int
		sub := s.Stream().SubscribeBatch(t.Context(), func(b []int) { got = append(got, b...); sizes = append(sizes, len(b)) }, nil, nil)
		for i := range 1000 {
			s.OnNext(i)
		}
		s.OnCompleted()
		wait(t, "done", sub.Done())
		if !slices.Equal(got, seq(1000)) || slices.Max(sizes) > buffer || slices.Min(sizes) < 1 {
			t.Errorf("buffer %d: got %d items in batches of %d to %d", buffer, len(got), slices.Min(sizes), slices.Max(sizes))
		}
	}
}

func TestPanicCostsOneBatch(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	var failed, good []int
	seen := make(chan struct{})
	sub := s.Stream().SubscribeBatch(t.Context(), func(b []int) {
		if b[0] == 0 {
			panic("bug")
		}
		good = append(good, b...)
	}, func(err error) {
		failed, _ = err.(*observables.ItemError).Item.([]int)
		close(seen)
	}, nil)
	_ = s.PublishBatch(t.Context(), seq(5))
	wait(t, "onError", seen)
	s.OnNext(5)
	s.OnCompleted()
	wait(t, "done", sub.Done())
	if !slices.Equal(failed, seq(5)) || !slices.Equal(good, []int{5}) {
		t.Errorf("got %v failed and %v good, want 0 to 4 and 5", failed, good)
	}
}

// Publishers, subscribers, disposals and policies in confusion: under the race detector nothing may hang,
// leak or arrive out of a publisher's order.
func TestChaos(t *testing.T) {
	t.Parallel()
	type item struct{ publisher, n int }
	s := observables.NewSubject[item](observables.Config{Buffer: 8})
	stop := make(chan struct{})
	var publishers, subscribers sync.WaitGroup
	for p := range 4 {
		publishers.Go(func() {
			for n := 1; ; n += 3 {
				select {
				case <-stop:
					return
				default:
				}
				s.OnNext(item{p, n})
				_ = s.PublishBatch(t.Context(), []item{{p, n + 1}, {p, n + 2}})
			}
		})
	}
	for i := range 300 {
		subscribers.Go(func() {
			cfg := observables.Config{Buffer: 1 + i%7, Overflow: observables.Overflow(i % 4)}
			var last [4]int
			var seen atomic.Int64
			enough := make(chan struct{})
			sub := s.StreamWith(cfg).Subscribe(t.Context(), func(v item) {
				if v.n <= last[v.publisher] || cfg.Overflow == observables.Block && last[v.publisher] > 0 && v.n != last[v.publisher]+1 {
					t.Errorf("%v: %d after %d", cfg.Overflow, v.n, last[v.publisher])
				}
				last[v.publisher] = v.n
				if seen.Add(1) == 20 {
					close(enough)
				}
			}, nil, nil)
			select {
			case <-enough:
			case <-sub.Done(): // Fail
			}
			sub.Dispose()
			<-sub.Done()
		})
	}
	subscribers.Wait()
	close(stop)
	publishers.Wait()
	if n := s.Subscribers(); n != 0 {
		t.Errorf("%d subscribers left, want 0", n)
	}
}
