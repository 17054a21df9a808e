package observables_test

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

// soakRounds is how often TestSubscribeAndDisposeForEver subscribes: OBSERVABLES_SOAK=1000000 makes a soak
// of it.
func soakRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("OBSERVABLES_SOAK")
	if text == "" {
		return 5000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("OBSERVABLES_SOAK: %v", err)
	}
	return n
}

// Subscriptions that come and go leave nothing behind.
func TestSubscribeAndDisposeForEver(t *testing.T) {
	group, err := observables.GroupBy(observables.GroupConfig[int, int]{Key: func(v int) int { return v }})
	if err != nil {
		t.Fatal(err)
	}
	check, err := observables.NewChecker(checkConfig{Key: func(m msg) string { return m.session }, Order: func(m msg) int { return m.client }, LookupBatch: noVerdicts, TTL: forever})
	if err != nil {
		t.Fatal(err)
	}
	s, other := observables.NewSubject[int](observables.Config{}), observables.NewBehaviorSubject(1, observables.Config{})
	add := func(a, b int) int { return a + b }
	shared := s.Stream().Pipe(observables.Share[int](observables.Config{}))
	timed := s.Stream().Pipe(observables.Debounce[int](ms), observables.Timeout[int](1000*ms), observables.Sample[int](ms))
	checked := observables.Pipe3(s.Stream(), observables.Map(func(v int) msg { return msg{n: v} }), check.Op(), observables.Map(func(c checked) int { return c.Item.n }))
	streams := []observables.Stream[int]{
		s.Stream(), shared, timed, checked,
		observables.CombineLatest(s.Stream(), other.Stream(), add),
		observables.Pipe2(s.Stream(), group, observables.Map(func(g observables.Group[int, int]) int { return g.Key })),
		observables.Pipe2(s.Stream(), observables.Buffer[int](3, ms), observables.Map(func(vs []int) int { return len(vs) })),
		observables.Merge(s.Stream(), other.Stream()).Pipe(observables.WithLatestFrom[int](other.Stream(), add), observables.Retry[int](observables.RetryConfig{})),
	}
	rounds := func(n int) {
		for i := range n {
			sub := streams[i%len(streams)].Subscribe(t.Context(), nil, nil, nil)
			s.OnNext(i)
			sub.Dispose()
			wait(t, "done", sub.Done())
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	n := soakRounds(t)
	rounds(1000)
	before := heap()
	rounds(n)
	grown := heap() - before
	t.Logf("%d subscriptions: heap %+d bytes", n, grown)
	if grown > 1<<20 || s.Subscribers() != 0 || other.Subscribers() != 0 {
		t.Errorf("after %d subscriptions: heap %+d bytes, %d subscribers; want less than 1 MiB and 0", n, grown, s.Subscribers()+other.Subscribers())
	}
}

func noVerdicts(_ context.Context, keys []string) ([]int, error) { return make([]int, len(keys)), nil }
