package observables_test

import (
	"runtime"
	"runtime/debug"
	"slices"
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

// TestASubscriptionIsOneGoroutineAndFiveKiB, stack included, whatever the number of operators that need no goroutine. It counts
// goroutines and memory, so nothing runs beside it.
func TestASubscriptionIsOneGoroutineAndFiveKiB(t *testing.T) {
	const n = 2000
	s := observables.NewSubject[*benchItem](observables.Config{})
	used := func() (goroutines int, bytes int64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), int64(m.HeapAlloc + m.StackInuse)
	}
	goroutines, bytes := used()
	subs := make([]*observables.Subscription, n)
	for i := range subs {
		subs[i] = fiveOps(s.Stream()).Subscribe(t.Context(), nil, nil, nil)
	}
	more, mem := used()
	each := (mem - bytes) / n
	t.Logf("%d bytes and %.2f goroutines a subscription", each, float64(more-goroutines)/n)
	if more-goroutines > n+2 || each > 8<<10 && !raceEnabled() {
		t.Errorf("%d goroutines and %d bytes each for %d subscriptions, want one and about 5 KiB", more-goroutines, each, n)
	}
	s.OnCompleted()
	for _, sub := range subs {
		wait(t, "done", sub.Done())
	}
}

// raceEnabled reports whether the race detector is on, which makes everything larger.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
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
