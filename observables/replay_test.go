package observables_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

func TestReplaySubject(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 3, 10} {
		s := observables.NewReplaySubject[int](size, observables.Config{Buffer: 1})
		_, early := collect(t, s.Stream())
		for _, v := range seq(5) {
			s.OnNext(v)
		}
		_, late := collect(t, s.StreamWith(observables.Config{Buffer: 1, Overflow: observables.Block}))
		if err := s.Publish(t.Context(), 5); err != nil {
			t.Error(err)
		}
		s.OnCompleted()
		_, after := collect(t, s.Stream())
		last := func(to, n int) []int { return seq(to)[to-min(max(n, 1), to):] }
		if !slices.Equal(early(), seq(6)) || !slices.Equal(late(), append(last(5, size), 5)) || !slices.Equal(after(), last(6, size)) {
			t.Errorf("size %d: got %v, %v and %v", size, early(), late(), after())
		}
		if err := s.Publish(t.Context(), 6); !errors.Is(err, observables.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if n := s.Subscribers(); n != 0 {
			t.Errorf("%d subscribers left, want 0", n)
		}
	}
}

// Whoever subscribes while others publish gets a suffix without a gap.
func TestReplayHasNoGap(t *testing.T) {
	t.Parallel()
	s := observables.NewReplaySubject[int](8, observables.Config{Buffer: 4})
	var publishing, subscribing sync.WaitGroup
	publishing.Go(func() {
		for _, v := range seq(4_000) {
			s.OnNext(v)
		}
		s.OnCompleted()
	})
	for range 50 {
		subscribing.Go(func() {
			last := -1
			sub := s.Stream().Subscribe(t.Context(), func(v int) {
				if last >= 0 && v != last+1 {
					t.Errorf("%d after %d", v, last)
				}
				last = v
			}, nil, nil)
			<-sub.Done()
			if last != 3_999 {
				t.Errorf("the last was %d, want 3999", last)
			}
		})
	}
	publishing.Wait()
	subscribing.Wait()
}

func TestBehaviorSubject(t *testing.T) {
	t.Parallel()
	s := observables.NewBehaviorSubject("idle", observables.Config{})
	_, first := collect(t, s.Stream())
	s.OnNext("busy")
	_, second := collect(t, s.Stream())
	s.OnNext("gone")
	if v := s.Value(); v != "gone" {
		t.Errorf("got %q, want gone", v)
	}
	s.OnCompleted()
	if a, b := first(), second(); !slices.Equal(a, []string{"idle", "busy", "gone"}) || !slices.Equal(b, a[1:]) {
		t.Errorf("got %q and %q", a, b)
	}
}
