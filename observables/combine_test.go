package observables_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/agentmesh/agentmesh/observables"
)

func TestCombineLatestAndWithLatestFrom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := observables.NewSubject[int](observables.Config{}), observables.NewSubject[string](observables.Config{})
		join := func(n int, s string) string { return fmt.Sprint(n, s) }
		_, combined := collect(t, observables.CombineLatest(a.Stream(), b.Stream(), join))
		_, with := collect(t, observables.WithLatestFrom[int](b.Stream(), join)(a.Stream()))
		for _, step := range []func(){
			func() { a.OnNext(1) }, func() { a.OnNext(2) }, func() { b.OnNext("x") }, func() { b.OnNext("y") },
			func() { a.OnNext(3) }, a.OnCompleted, func() { b.OnNext("z") }, b.OnCompleted,
		} {
			step()
			synctest.Wait()
		}
		if got, want := fmt.Sprint(combined()), "[2x 2y 3y 3z]"; got != want {
			t.Errorf("combine: got %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(with()), "[3y]"; got != want {
			t.Errorf("with: got %s, want %s", got, want)
		}
	})
}

func TestJoinsEnd(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	type subject = *observables.Subject[int]
	for name, c := range map[string]struct {
		end  func(a, b subject)
		want [2]error // of CombineLatest and WithLatestFrom
	}{
		"first completes without an item": {func(a, _ subject) { a.OnCompleted() }, [2]error{}},
		"first fails":                     {func(a, b subject) { b.OnNext(1); a.OnError(broken) }, [2]error{broken, broken}},
		"second fails":                    {func(a, b subject) { a.OnNext(1); b.OnError(broken) }, [2]error{broken, broken}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := observables.NewSubject[int](observables.Config{}), observables.NewSubject[int](observables.Config{})
			sum := func(x, y int) int { return x + y }
			subs := []*observables.Subscription{
				observables.CombineLatest(a.Stream(), b.Stream(), sum).Subscribe(t.Context(), nil, nil, nil),
				observables.WithLatestFrom[int](b.Stream(), sum)(a.Stream()).Subscribe(t.Context(), nil, nil, nil),
			}
			c.end(a, b)
			for i, sub := range subs {
				wait(t, "done", sub.Done())
				if !errors.Is(sub.Err(), c.want[i]) {
					t.Errorf("%d: got %v, want %v", i, sub.Err(), c.want[i])
				}
			}
			if n := a.Subscribers() + b.Subscribers(); n != 0 {
				t.Errorf("%d subscribers left, want 0", n)
			}
		})
	}
}

func TestCombineLatestCostsOnlyTheItemThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := observables.NewBehaviorSubject(1, observables.Config{}), observables.NewSubject[int](observables.Config{})
		failed, got := 0, 0
		sub := observables.CombineLatest(a.Stream(), b.Stream(), func(_, y int) int { return y / (y % 3) }).
			Subscribe(t.Context(), func(int) { got++ }, func(error) { failed++ }, nil)
		synctest.Wait()
		for i := range 9 {
			b.OnNext(i)
		}
		a.OnCompleted()
		b.OnCompleted()
		<-sub.Done()
		if got != 6 || failed != 3 {
			t.Errorf("got %d and %d failed, want 6 and 3", got, failed)
		}
	})
}
