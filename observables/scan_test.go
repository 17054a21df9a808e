package observables_test

import (
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

func TestStatefulOperatorsStartAnewForEachSubscription(t *testing.T) {
	t.Parallel()
	same := func(v int) int { return v }
	for name, c := range map[string]struct {
		op       observables.Op[int, int]
		in, want []int
	}{
		"scan":       {observables.Scan(10, func(sum, v int) int { return sum + v }), []int{1, 2, 3}, []int{11, 13, 16}},
		"changed":    {observables.Changed(same), []int{0, 0, 1, 1, 0}, []int{0, 1, 0}},
		"distinct":   {observables.Distinct(0, same), []int{0, 0, 1, 1, 0}, []int{0, 1}},
		"distinct 2": {observables.Distinct(2, same), []int{0, 1, 0, 2, 0, 1, 1}, []int{0, 1, 2, 0, 1}},
		"skip":       {observables.Skip[int](2), seq(5), []int{2, 3, 4}},
		"start with": {observables.StartWith(7, 8), []int{1}, []int{7, 8, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := observables.NewSubject[int](observables.Config{})
			chain := s.Stream().Pipe(c.op)
			_, a := collect(t, chain)
			_, b := collect(t, chain)
			_ = s.PublishBatch(t.Context(), c.in)
			s.OnCompleted()
			if !slices.Equal(a(), c.want) || !slices.Equal(b(), c.want) {
				t.Errorf("got %v and %v, want %v twice", a(), b(), c.want)
			}
		})
	}
}

func TestStartWithDoesNotWaitForTheStream(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	first := make(chan int, 1)
	sub := s.Stream().Pipe(observables.StartWith(1)).Subscribe(t.Context(), func(v int) { first <- v }, nil, nil)
	if v := <-first; v != 1 {
		t.Errorf("got %d, want 1", v)
	}
	sub.Dispose()
	wait(t, "done", sub.Done())
}
