package observables_test

import (
	"testing"
	"time"

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

// What an operator with a goroutine of its own costs is a queue, not memory.
func TestBoundariesDoNotAllocate(t *testing.T) {
	group, err := observables.GroupBy(observables.GroupConfig[*benchItem, int]{Key: func(m *benchItem) int { return m.n & 7 }})
	if err != nil {
		t.Fatal(err)
	}
	type stream = observables.Stream[*benchItem]
	other := observables.NewBehaviorSubject(0, observables.Config{})
	for name, op := range map[string]func(stream) stream{
		"observe on":     observables.ObserveOn[*benchItem](observables.Config{}),
		"debounce":       observables.Debounce[*benchItem](time.Hour),
		"throttle":       observables.ThrottleLatest[*benchItem](time.Hour),
		"throttle first": observables.ThrottleFirst[*benchItem](time.Hour),
		"sample":         observables.Sample[*benchItem](time.Hour),
		"timeout":        observables.Timeout[*benchItem](time.Hour),
		"with latest":    observables.WithLatestFrom[*benchItem](other.Stream(), func(m *benchItem, _ int) *benchItem { return m }),
		"combine": func(s stream) stream {
			return observables.CombineLatest(s, other.Stream(), func(m *benchItem, _ int) *benchItem { return m })
		},
		"group": func(s stream) stream {
			return observables.Pipe2(s, group, observables.Map(func(observables.Group[*benchItem, int]) *benchItem { return nil }))
		},
	} {
		s := observables.NewSubject[*benchItem](observables.Config{})
		seen := make(chan struct{}, 1)
		end, item := &benchItem{n: -1}, &benchItem{}
		sub := op(s.Stream().Pipe(observables.Do(func(m *benchItem) {
			if m == end {
				seen <- struct{}{}
			}
		}))).Subscribe(t.Context(), nil, nil, nil)
		round := func() {
			for range 500 {
				s.OnNext(item)
			}
			s.OnNext(end)
			<-seen
		}
		for range 20 {
			round()
		}
		if n := testing.AllocsPerRun(20, round); n > 5 {
			t.Errorf("%s: %v allocations for 501 items, want 0", name, n)
		}
		sub.Dispose()
		wait(t, "done", sub.Done())
	}
}
