package observables_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

// flaky is a stream whose nth attempt gives items and then its error.
func flaky(attempts ...any) (observables.Stream[int], *int) {
	n := new(int)
	return observables.Defer(func(context.Context) (observables.Stream[int], error) {
		*n++
		switch v := attempts[min(*n, len(attempts))-1].(type) {
		case error:
			return observables.Stream[int]{}, v
		case string:
			panic(v)
		case int:
			return observables.FromSeq(func(yield func(int, error) bool) {
				for i := range v {
					if !yield(i, nil) {
						return
					}
				}
				yield(0, fmt.Errorf("after %d", v))
			}), nil
		}
		return observables.Empty[int](), nil
	}), n
}

func TestRetry(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	cfg := observables.RetryConfig{Attempts: 3, Backoff: 10 * ms, MaxBackoff: 15 * ms}
	for name, c := range map[string]struct {
		attempts []any
		want     string
	}{
		"completes":      {[]any{nil}, "[] [] <nil> @0"},
		"succeeds later": {[]any{down, 2, down, down, nil}, "[0 1] [down after 2 down] down @35"},
		"gives up":       {[]any{1, down, down}, "[0] [after 1 down] down @25"},
		"panic":          {[]any{down, "bug"}, "[] [down] observables: panic: bug @10"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, _ := flaky(c.attempts...)
				var got []int
				var failed []error
				start := time.Now()
				done := 0
				sub := s.Pipe(observables.Retry[int](cfg)).Subscribe(t.Context(), func(v int) { got = append(got, v) },
					func(err error) { failed = append(failed, err) }, func(error) { done++ })
				<-sub.Done()
				if g := fmt.Sprint(got, " ", failed, " ", sub.Err(), " @", int(time.Since(start)/ms)); g != c.want || done != 1 {
					t.Errorf("got %s and %d ends, want %s and 1", g, done, c.want)
				}
			})
		})
	}
}

func TestRetryEndsWhileItWaitsAndGoesOnForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		s, attempts := flaky(down)
		sub := s.Pipe(observables.Retry[int](observables.RetryConfig{})).Subscribe(t.Context(), nil, nil, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if *attempts < 120 || *attempts > 130 {
			t.Errorf("%d attempts in an hour, want one each 30 s", *attempts)
		}
		sub.Dispose()
		<-sub.Done()
		if !errors.Is(sub.Err(), observables.ErrDisposed) {
			t.Errorf("got %v, want %v", sub.Err(), observables.ErrDisposed)
		}
	})
}

func TestRetryInAChainThatTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, attempts := flaky(2)
		_, got := collect(t, s.Pipe(observables.Catch(func(err error) observables.Stream[int] { return observables.Throw[int](err) }),
			func(s observables.Stream[int]) observables.Stream[int] {
				return s.Pipe(observables.Catch(func(error) observables.Stream[int] { s, _ := flaky(2); return s }))
			}, observables.Catch(func(error) observables.Stream[int] { return observables.Empty[int]() }), observables.Take[int](3)))
		if g := fmt.Sprint(got()); g != "[0 1 0]" || *attempts != 1 {
			t.Errorf("got %s and %d attempts, want [0 1 0] and 1", g, *attempts)
		}
	})
}

func TestCatch(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		end   error
		catch func(error) observables.Stream[int]
		want  string
	}{
		"completion": {nil, nil, "[1] <nil>"},
		"error":      {broken, func(error) observables.Stream[int] { return observables.Empty[int]().Pipe(observables.StartWith(2)) }, "[1 2] <nil>"},
		"again":      {broken, observables.Throw[int], "[1] broken"},
		"panic":      {broken, func(error) observables.Stream[int] { panic("bug") }, "[1] observables: panic: bug"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := observables.NewSubject[int](observables.Config{})
			var got []int
			sub := s.Stream().Pipe(observables.Catch(c.catch)).Subscribe(t.Context(), func(v int) { got = append(got, v) }, nil, nil)
			s.OnNext(1)
			s.OnError(c.end)
			wait(t, "done", sub.Done())
			if g := fmt.Sprint(got, " ", sub.Err()); g != c.want {
				t.Errorf("got %s, want %s", g, c.want)
			}
		})
	}
}
