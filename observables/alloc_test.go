package observables_test

import (
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

func TestFiveOperatorsDoNotAllocate(t *testing.T) {
	s := observables.NewSubject[*benchItem](observables.Config{})
	seen := make(chan struct{}, 1)
	end := &benchItem{}
	sub := fiveOps(s.Stream()).Subscribe(t.Context(), func(m *benchItem) {
		if m == end {
			seen <- struct{}{}
		}
	}, nil, nil)
	item := &benchItem{}
	round := func() {
		for range 500 {
			s.OnNext(item)
		}
		s.OnNext(end)
		<-seen
	}
	for range 10 {
		round()
	}
	if n := testing.AllocsPerRun(20, round); n > 1 {
		t.Errorf("%v allocations for 501 items, want 0", n)
	}
	sub.Dispose()
	wait(t, "done", sub.Done())
}
