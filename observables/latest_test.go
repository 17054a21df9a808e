package observables_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

const ms = time.Millisecond

// timed gives what comes out of op, each with its time, when 0, 1, 2… come in at the times of at, and the
// stream completes at the time end.
func timed[T any](t *testing.T, op observables.Op[int, T], end int, at ...int) (got []string) {
	t.Helper()
	s := observables.NewSubject[int](observables.Config{})
	start := time.Now()
	note := func(v any) { got = append(got, fmt.Sprintf("%v@%d", v, time.Since(start)/ms)) }
	sub := op(s.Stream()).Subscribe(t.Context(), func(v T) { note(v) }, func(err error) { note(err) }, nil)
	for i, when := range at {
		time.Sleep(time.Duration(when)*ms - time.Since(start))
		synctest.Wait()
		s.OnNext(i)
	}
	time.Sleep(time.Duration(end)*ms - time.Since(start))
	synctest.Wait()
	s.OnCompleted()
	<-sub.Done()
	if err := sub.Err(); err != nil {
		note(err)
	}
	if n := s.Subscribers(); n != 0 {
		t.Errorf("%d subscribers left, want 0", n)
	}
	return got
}

func TestTimedOperators(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		op   observables.Op[int, int]
		end  int
		at   []int
		want string
	}{
		"debounce":                   {observables.Debounce[int](10 * ms), 100, []int{0, 5, 9, 30, 50, 55}, "[2@19 3@40 5@65]"},
		"debounce, end":              {observables.Debounce[int](10 * ms), 12, []int{0, 10, 11}, "[0@10 2@12]"},
		"debounce, nothing":          {observables.Debounce[int](10 * ms), 12, nil, "[]"},
		"debounce 0":                 {observables.Debounce[int](0), 12, []int{1, 2}, "[0@1 1@2]"},
		"throttle first":             {observables.ThrottleFirst[int](10 * ms), 100, []int{0, 5, 9, 10, 11, 30, 31}, "[0@0 3@10 5@30]"},
		"throttle latest":            {observables.ThrottleLatest[int](10 * ms), 100, []int{0, 5, 9, 12, 40, 51}, "[0@0 2@10 3@20 4@40 5@51]"},
		"throttle latest, end":       {observables.ThrottleLatest[int](10 * ms), 7, []int{0, 5, 6}, "[0@0 2@7]"},
		"sample":                     {observables.Sample[int](10 * ms), 100, []int{0, 5, 12, 35, 36, 90}, "[1@10 2@20 4@40 5@100]"},
		"sample, end":                {observables.Sample[int](10 * ms), 14, []int{0, 12}, "[0@10 1@14]"},
		"timeout":                    {observables.Timeout[int](10 * ms), 100, []int{0, 9, 18, 40}, "[0@0 1@9 2@18 observables: nothing came in time@100]"},
		"timeout, completed":         {observables.Timeout[int](10 * ms), 25, []int{0, 9, 18}, "[0@0 1@9 2@18]"},
		"timeout, nothing":           {observables.Timeout[int](10 * ms), 50, nil, "[observables: nothing came in time@50]"},
		"delay":                      {observables.Delay[int](10*ms, observables.Config{}), 100, []int{0, 5, 5, 30}, "[0@10 1@15 2@15 3@40]"},
		"delay, end":                 {observables.Delay[int](10*ms, observables.Config{}), 6, []int{0, 5}, "[0@10 1@15]"},
		"delay of a busy stage":      {sleepy(7, observables.Delay[int](10*ms, observables.Config{})), 100, []int{0, 1, 2}, "[0@17 1@24 2@31]"},
		"observe on":                 {observables.ObserveOn[int](observables.Config{}), 3, []int{0, 1}, "[0@0 1@1]"},
		"busy handler is no timeout": {sleepy(50, observables.Timeout[int](10*ms)), 200, []int{0, 2, 103}, "[0@50 1@100 2@153 observables: nothing came in time@200]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if got := fmt.Sprint(timed(t, c.op, c.end, c.at...)); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

// sleepy is op with something slow behind it.
func sleepy(n int, op observables.Op[int, int]) observables.Op[int, int] {
	return func(s observables.Stream[int]) observables.Stream[int] {
		return s.Pipe(op, observables.Do(func(int) { time.Sleep(time.Duration(n) * ms) }))
	}
}

// Operators that want only the latest neither wait for a slow handler nor count what they leave out.
func TestLatestOperatorsNeverHoldUpTheirSource(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]observables.Op[int, int]{
		"debounce": observables.Debounce[int](ms),
		"throttle": observables.ThrottleLatest[int](ms),
		"sample":   observables.Sample[int](ms),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := observables.NewSubject[int](observables.Config{})
				free := make(chan struct{})
				var got []int
				sub := op(s.Stream()).Subscribe(t.Context(), func(v int) { <-free; got = append(got, v) }, nil, nil)
				s.OnNext(-1)
				time.Sleep(time.Second)
				for i := range 10_000 {
					s.OnNext(i)
				}
				close(free)
				s.OnCompleted()
				<-sub.Done()
				if len(got) < 2 || len(got) > 3 || got[0] != -1 || got[len(got)-1] != 9999 || sub.Dropped() != 0 {
					t.Errorf("got %v and %d dropped, want -1 … 9999 and 0", got, sub.Dropped())
				}
			})
		})
	}
}

func TestTimedOperatorsSurvivePanicsAndDispose(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]observables.Op[int, int]{
		"debounce": observables.Debounce[int](ms),
		"latest":   observables.ThrottleLatest[int](ms),
		"sample":   observables.Sample[int](ms),
		"delay":    observables.Delay[int](ms, observables.Config{}),
		"timeout":  observables.Timeout[int](time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := observables.NewSubject[int](observables.Config{})
				var got []int
				failed := 0
				sub := op(s.Stream()).Subscribe(t.Context(), func(v int) {
					if v%2 == 0 {
						panic("bug")
					}
					got = append(got, v)
				}, func(error) { failed++ }, nil)
				for i := range 10 {
					s.OnNext(i)
					time.Sleep(3 * ms)
				}
				s.OnNext(11)
				synctest.Wait()
				was := slices.Clone(got)
				sub.Dispose()
				<-sub.Done()
				time.Sleep(time.Second)
				if !slices.Equal(got, was) || len(was) < 5 || failed != 5 || s.Subscribers() != 0 {
					t.Errorf("got %v, before dispose %v, %d failed; want 1 3 5 7 9 and 5", got, was, failed)
				}
			})
		})
	}
}

func TestDelayAndObserveOnAreBounded(t *testing.T) {
	t.Parallel()
	for policy, want := range map[observables.Overflow]string{
		observables.DropNewest: "[0 1 2 3 4]", // one in process, four queued
		observables.DropOldest: "[0 6 7 8 9]",
		observables.Fail:       "[0 1 2 3 4]",
		observables.Block:      "[0 1 2 3 4 5 6 7 8 9]",
	} {
		cfg := observables.Config{Buffer: 4, Overflow: policy}
		for name, op := range map[string]observables.Op[int, int]{
			"delay":      observables.Delay[int](time.Second, cfg),
			"observe on": sleepy(1000, observables.ObserveOn[int](cfg)),
		} {
			t.Run(name+" "+policy.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := observables.NewSubject[int](observables.Config{})
					var got []int
					sub := op(s.Stream()).Subscribe(t.Context(), func(v int) { got = append(got, v) }, nil, nil)
					for i := range 10 {
						s.OnNext(i)
						synctest.Wait()
					}
					time.Sleep(time.Minute)
					s.OnCompleted()
					<-sub.Done()
					if fmt.Sprint(got) != want {
						if policy == observables.Fail && sub.Err() == observables.ErrOverflow { // what is in process ends with it
							return
						}
						t.Errorf("got %v (%v), want %s", got, sub.Err(), want)
					}
					if dropped := int(sub.Dropped()); dropped != 10-len(got) && policy != observables.Fail {
						t.Errorf("%d dropped of 10, got %d", dropped, len(got))
					}
				})
			})
		}
	}
}
