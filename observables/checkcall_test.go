package observables_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/agentmesh/agentmesh/observables"
)

func TestCheckLooksUpABatchOfUnknownKeysByOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls [][]string
		free := make(chan struct{})
		c := newChecker(t, checkConfig{TTL: forever, Parallel: 1, Batch: 4,
			LookupBatch: func(_ context.Context, keys []string) ([]int, error) {
				calls = append(calls, slices.Clone(keys))
				<-free
				verdicts := make([]int, len(keys))
				for i, key := range keys {
					verdicts[i] = int(key[0])
				}
				return verdicts, nil
			}})
		s := observables.NewSubject[msg](observables.Config{})
		var out outcome
		sub := c.Op()(s.Stream()).Subscribe(t.Context(), out.add, nil, nil)
		send := func(sessions string) {
			var batch []msg
			for i, r := range sessions {
				batch = append(batch, msg{client: i, session: string(r)})
			}
			_ = s.PublishBatch(t.Context(), batch)
			synctest.Wait()
		}
		send("aba")
		send("cdefgb") // while the first call is out
		close(free)
		synctest.Wait()
		send("abcx")
		if got, want := fmt.Sprint(calls), "[[a b] [c d e f] [g] [x]]"; got != want {
			t.Errorf("got calls %s, want %s", got, want)
		}
		if got := out.sessions(); len(got) != 2*13-1 {
			t.Errorf("got %q, want 13 sessions", got)
		}
		for _, v := range out.all {
			if v.Verdict != int(v.Item.session[0]) || v.Err != nil {
				t.Errorf("got %v of %q", v.Verdict, v.Item.session)
			}
		}
		s.OnCompleted()
		<-sub.Done()
	})
}

func TestCheckGivesTheErrorOfABatchToItsKeys(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for name, c := range map[string]struct {
		lookup func() ([]int, error)
		want   string
	}{
		"error":  {func() ([]int, error) { return []int{1, 1}, down }, "down"},
		"panic":  {func() ([]int, error) { panic("bug") }, "observables: panic: bug"},
		"length": {func() ([]int, error) { return []int{1}, nil }, "observables: LookupBatch gave 1 verdicts for 2 keys"},
		"goexit": {func() ([]int, error) { runtime.Goexit(); return nil, nil }, observables.ErrGoexit.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := newChecker(t, checkConfig{LookupBatch: func(context.Context, []string) ([]int, error) { return c.lookup() }})
			s := observables.NewSubject[msg](observables.Config{})
			_, got := collect(t, check.Op()(s.Stream()))
			_ = s.PublishBatch(t.Context(), []msg{{session: "a"}, {session: "b"}})
			s.OnCompleted()
			all := got()
			if len(all) != 2 {
				t.Fatalf("got %d items, want 2", len(all))
			}
			for _, v := range all {
				if v.Err == nil || v.Err.Error() != c.want || v.Verdict != 0 {
					t.Errorf("got %v, %v, want %s", v.Verdict, v.Err, c.want)
				}
			}
		})
	}
}

// What arrives while the queue is full must not wait for a batch that nobody starts.
func TestCheckBatchGoesOnWhenTheQueueIsFull(t *testing.T) {
	t.Parallel()
	c := newChecker(t, checkConfig{Queue: 3, LookupBatch: func(_ context.Context, keys []string) ([]int, error) {
		return make([]int, len(keys)), nil
	}})
	s := observables.NewSubject[msg](observables.Config{})
	_, got := collect(t, c.Op()(s.Stream()))
	for i := range 500 {
		s.OnNext(msg{client: i, session: fmt.Sprint(i)})
	}
	s.OnCompleted()
	if n := len(got()); n != 500 {
		t.Errorf("got %d items, want 500", n)
	}
}

func TestCheckKeyOrOrderThatPanicsCostsItsItem(t *testing.T) {
	t.Parallel()
	pick := func(v any) any { // []int cannot be a map's key
		if v == "panic" {
			panic("bug")
		}
		return v
	}
	same := func(any) any { return 1 }
	lookup := func(context.Context, any) (int, error) { return 1, nil }
	for name, cfg := range map[string]observables.CheckConfig[any, any, any, int]{
		"key":   {Key: pick, Order: same, Lookup: lookup},
		"order": {Key: same, Order: pick, Lookup: lookup},
		"batch": {Key: pick, Order: same, LookupBatch: func(_ context.Context, keys []any) ([]int, error) { return make([]int, len(keys)), nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := observables.NewChecker(cfg)
			if err != nil {
				t.Fatal(err)
			}
			s := observables.NewSubject[any](observables.Config{})
			var failed int
			var out []any
			sub := c.Op()(s.Stream()).Subscribe(t.Context(), func(v observables.Checked[any, int]) { out = append(out, v.Item) },
				func(error) { failed++ }, nil)
			_ = s.PublishBatch(t.Context(), []any{"a", "panic", "b", []int{1}, "c", "panic", "a"})
			s.OnCompleted()
			wait(t, "done", sub.Done())
			if got := fmt.Sprint(out); failed != 3 || len(out) != 4 {
				t.Errorf("got %s and %d errors, want a, b, c, a in some order and 3", got, failed)
			}
			if keys, orders, _, waiting := c.Sizes(); keys+orders+waiting != 0 {
				t.Errorf("%d keys, %d orders, %d waiting left", keys, orders, waiting)
			}
		})
	}
}

// TestCheckKnowsVerdicts: an item that needs no lookup waits for none, except behind its own order.
func TestCheckKnowsVerdicts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		c := newChecker(t, checkConfig{
			Known: func(key string) (int, bool) { return -1, key == "" },
			LookupBatch: func(_ context.Context, keys []string) ([]int, error) {
				if slices.Contains(keys, "") {
					t.Error("looked up what was known")
				}
				<-free
				return make([]int, len(keys)), errors.New("down")
			},
		})
		s := observables.NewSubject[msg](observables.Config{})
		var out outcome
		sub := c.Op()(s.Stream()).Subscribe(t.Context(), out.add, nil, nil)
		_ = s.PublishBatch(t.Context(), []msg{{client: 1, session: "a"}, {client: 1}, {client: 2}})
		synctest.Wait()
		if len(out.all) != 1 || out.all[0].Item.client != 2 {
			t.Errorf("got %v before the lookup, want only what does not wait", out.all)
		}
		c.Invalidate("")
		c.InvalidateAll()
		close(free)
		synctest.Wait()
		if len(out.all) != 3 || out.all[1].Err == nil || out.all[2].Item.session != "" {
			t.Fatalf("got %v", out.all)
		}
		for _, i := range []int{0, 2} {
			if v := out.all[i]; v.Verdict != -1 || v.Err != nil {
				t.Errorf("got %v, %v for what was known", v.Verdict, v.Err)
			}
		}
		s.OnCompleted()
		<-sub.Done()
	})
}
