package observables_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

// TestCheckStats: a checker counts what it was spared and what it looked up, also of subscriptions that have
// ended.
func TestCheckStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check, err := observables.NewChecker(observables.CheckConfig[int, int, int, int]{
			Key: func(v int) int { return v }, Order: func(v int) int { return v },
			Known: func(v int) (int, bool) { return 0, v == 0 },
			LookupBatch: func(_ context.Context, keys []int) ([]int, error) {
				time.Sleep(time.Millisecond)
				if keys[0] == 9 {
					return nil, errors.New("no answer")
				}
				return keys, nil
			},
			TTL: func(_ int, err error) time.Duration {
				if err != nil {
					return 0
				}
				return time.Minute
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		subject := observables.NewSubject[int](observables.Config{})
		sub := check.Op()(subject.Stream()).Subscribe(t.Context(), nil, nil, nil)
		for _, batch := range [][]int{{1, 2, 1}, {1, 2, 0}, {9}} {
			if err := subject.PublishBatch(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}
		want := observables.CheckStats{Known: 1, Cached: 2, Waited: 4, Calls: 2, Keys: 3, Failed: 1}
		if got := check.Stats(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		subject.OnCompleted()
		<-sub.Done()
		if got := check.Stats(); got != want {
			t.Errorf("after the end got %+v, want %+v", got, want)
		}
	})
}

// TestSubjectCountsWhatItsSubscriptionsMissed: also those that have gone.
func TestSubjectCountsWhatItsSubscriptionsMissed(t *testing.T) {
	t.Parallel()
	subject := observables.NewSubject[int](observables.Config{Buffer: 2, Overflow: observables.DropNewest})
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	slow := subject.Stream().Subscribe(t.Context(), func(int) { held <- struct{}{}; <-hold }, nil, nil)
	subject.OnNext(0)
	<-held // it works on one, and two more have room
	for i := range 5 {
		subject.OnNext(i)
	}
	if got := subject.Dropped(); got != 3 || slow.Dropped() != 3 {
		t.Errorf("subject %d, subscription %d: want 3 and 3", got, slow.Dropped())
	}
	close(hold)
	slow.Dispose()
	<-slow.Done()
	if got := subject.Dropped(); got != 3 {
		t.Errorf("after Dispose %d, want 3", got)
	}
}
