package observables_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

type groupConfig = observables.GroupConfig[string, byte]

// grouped divides words by their first letter and notes what happens to the groups.
func grouped(t *testing.T, cfg groupConfig) (s *observables.Subject[string], sub *observables.Subscription, notes func() string) {
	t.Helper()
	cfg.Key = func(w string) byte { return w[0] }
	op, err := observables.GroupBy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, fmt.Sprintf(format, args...))
	}
	s = observables.NewSubject[string](observables.Config{})
	sub = op(s.Stream()).Subscribe(t.Context(), func(g observables.Group[string, byte]) {
		g.Subscribe(t.Context(), func(w string) { note("%s", w) }, nil, func(err error) { note("%c:%v", g.Key, err) })
	}, nil, nil)
	return s, sub, func() string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(all)
		got := strings.Join(all, " ")
		all = nil
		return got
	}
}

func TestGroupBy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, sub, notes := grouped(t, groupConfig{Groups: 3, Idle: time.Second})
		step := func(want string, words ...string) {
			t.Helper()
			_ = s.PublishBatch(t.Context(), words)
			if got := notes(); got != want {
				t.Errorf("after %q: got %q, want %q", words, got, want)
			}
		}
		step("a1 a2 b1 c1", "a1", "b1", "a2", "c1")
		step("b:<nil> d1", "d1")                  // b was idle for longest
		step("a:<nil> b2 c2", "c2", "b2")         // then a
		time.Sleep(600 * ms)                      //
		step("d2", "d2")                          // keeps d alive
		time.Sleep(600 * ms)                      // b and c are idle
		step("b:<nil> c:<nil>")                   //
		step("d3 e1", "d3", "e1")                 //
		s.OnCompleted()                           //
		step("d:<nil> e:<nil>")                   //
		<-sub.Done()                              //
		s, sub, notes = grouped(t, groupConfig{}) // no idle
		step("a1", "a1")
		time.Sleep(time.Hour)
		step("a2", "a2")
		sub.Dispose()
		<-sub.Done()
		step("a:" + observables.ErrDisposed.Error())
	})
}

func TestGroupByDisposedWhileAGroupBlocks(t *testing.T) {
	t.Parallel()
	op, err := observables.GroupBy(observables.GroupConfig[int, int]{Key: func(v int) int { return v % 2 }, Buffer: observables.Config{Buffer: 1}})
	if err != nil {
		t.Fatal(err)
	}
	s := observables.NewSubject[int](observables.Config{Buffer: 1})
	free, started := make(chan struct{}), make(chan *observables.Subscription, 1)
	sub := op(s.Stream()).Subscribe(t.Context(), func(g observables.Group[int, int]) {
		started <- g.Subscribe(t.Context(), func(int) { <-free }, nil, nil)
	}, nil, nil)
	published := make(chan struct{})
	go func() {
		defer close(published)
		for range 5000 {
			s.OnNext(0)
		}
	}()
	inner := <-started
	sub.Dispose()
	wait(t, "publisher", published)
	wait(t, "done", sub.Done())
	close(free)
	wait(t, "group", inner.Done())
}

func TestGroupConfigIsValidated(t *testing.T) {
	t.Parallel()
	key := func(string) byte { return 0 }
	for field, cfg := range map[string]groupConfig{"Key": {}, "Groups": {Key: key, Groups: -1}, "Idle": {Key: key, Idle: -1}} {
		if _, err := observables.GroupBy(cfg); err == nil || !strings.Contains(err.Error(), "GroupConfig."+field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
