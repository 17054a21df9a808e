package observables_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

func TestChannels(t *testing.T) {
	t.Parallel()
	for _, buf := range []int{0, 1, 700} {
		in := make(chan int, buf)
		out, sub := observables.FromChan(in).ToChan(t.Context(), buf, nil)
		go func() {
			defer close(in)
			for i := range 1000 {
				in <- i
			}
		}()
		var got []int
		for v := range out {
			got = append(got, v)
		}
		wait(t, "done", sub.Done())
		if !slices.Equal(got, seq(1000)) || sub.Err() != nil {
			t.Errorf("buffer %d: got %d items, %v", buf, len(got), sub.Err())
		}
	}
}

func TestChannelsEndEarly(t *testing.T) {
	t.Parallel()
	in := make(chan int)
	sub := observables.FromChan(in).Subscribe(t.Context(), nil, nil, nil)
	sub.Dispose()
	wait(t, "from", sub.Done())
	s := observables.NewSubject[int](observables.Config{Buffer: 1})
	ctx, cancel := context.WithCancel(t.Context())
	out, sub := s.Stream().ToChan(ctx, 0, nil)
	blocked := make(chan struct{})
	go func() {
		defer close(blocked)
		for range 5 {
			s.OnNext(1)
		}
	}()
	<-out
	cancel()
	wait(t, "publisher", blocked)
	wait(t, "to", sub.Done())
	for range out {
	}
	if !errors.Is(sub.Err(), context.Canceled) {
		t.Errorf("got %v, want %v", sub.Err(), context.Canceled)
	}
}

// A channel that never runs dry must not keep a batch handler waiting.
func TestFromChanBatchesAreBounded(t *testing.T) {
	t.Parallel()
	in := make(chan int, 10_000)
	for i := range 10_000 {
		in <- i
	}
	close(in)
	var got []int
	sub := observables.FromChan(in).SubscribeBatch(t.Context(), func(vs []int) {
		if got = append(got, vs...); len(vs) > 256 {
			t.Errorf("a batch of %d, want at most 256", len(vs))
		}
	}, nil, nil)
	wait(t, "done", sub.Done())
	if !slices.Equal(got, seq(10_000)) {
		t.Errorf("got %d items", len(got))
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	broken, bad := errors.New("broken"), errors.New("bad")
	s := observables.NewReplaySubject[int](100, observables.Config{})
	for i := range 20 {
		s.OnNext(i)
	}
	s.OnError(broken)
	chain := s.Stream().Pipe(observables.MapErr(func(v int) (int, error) {
		if v%5 == 4 {
			return 0, bad
		}
		return v, nil
	}))
	items, failed, last := 0, 0, error(nil)
	for v, err := range chain.Each(t.Context()) {
		switch {
		case err == nil:
			items += v
		case errors.Is(err, bad):
			failed++
		default:
			last = err
		}
	}
	if items != 190-4-9-14-19 || failed != 4 || !errors.Is(last, broken) {
		t.Errorf("got %d, %d failed and %v", items, failed, last)
	}
	for v, err := range chain.Each(t.Context()) {
		if v == 3 || err != nil {
			break
		}
	}
	if n := s.Subscribers(); n != 0 {
		t.Errorf("%d subscribers left, want 0", n)
	}
}

func TestEachEndsWithItsContextAndFreesItsSource(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{Buffer: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	gone := errors.New("gone")
	published := make(chan struct{})
	go func() {
		defer close(published)
		for s.Subscribers() == 0 {
		}
		for i := range 5000 {
			s.OnNext(i)
		}
	}()
	var last error
	for v, err := range s.Stream().Each(ctx) {
		if last = err; v == 10 {
			cancel(gone)
		}
	}
	wait(t, "publisher", published)
	if !errors.Is(last, gone) {
		t.Errorf("got %v, want %v", last, gone)
	}
}

func TestFromSeq(t *testing.T) {
	t.Parallel()
	bad, broken := errors.New("bad"), errors.New("broken")
	for name, c := range map[string]struct {
		end  func(yield func(int, error) bool)
		want error
	}{
		"completion": {func(func(int, error) bool) {}, nil},
		"error":      {func(yield func(int, error) bool) { yield(0, broken) }, broken},
		"panic":      {func(func(int, error) bool) { panic(broken) }, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int
			var failed []error
			sub := observables.FromSeq(func(yield func(int, error) bool) {
				_ = yield(1, nil) && yield(0, &observables.ItemError{Err: bad}) && yield(2, nil)
				c.end(yield)
			}).Subscribe(t.Context(), func(v int) { got = append(got, v) }, func(err error) { failed = append(failed, err) }, nil)
			wait(t, "done", sub.Done())
			if !slices.Equal(got, []int{1, 2}) || len(failed) != 1 || !errors.Is(failed[0], bad) || !errors.Is(sub.Err(), c.want) {
				t.Errorf("got %v, %v, %v; want 1 2, %v, %v", got, failed, sub.Err(), bad, c.want)
			}
		})
	}
	endless := observables.FromSeq(func(yield func(int, error) bool) {
		for i := 0; yield(i, nil); i++ {
		}
	})
	_, got := collect(t, endless.Pipe(observables.Take[int](3)))
	if !slices.Equal(got(), seq(3)) {
		t.Errorf("got %v, want 0 1 2", got())
	}
	sub := endless.Subscribe(t.Context(), nil, nil, nil)
	sub.Dispose()
	wait(t, "done", sub.Done())
}
