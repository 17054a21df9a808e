package observables_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

type msg struct {
	client  int
	session string
	n       int
}

type (
	checker     = observables.Checker[msg, string, int, int]
	checkConfig = observables.CheckConfig[msg, string, int, int]
	checked     = observables.Checked[msg, int]
)

func newChecker(t testing.TB, cfg checkConfig) *checker {
	t.Helper()
	cfg.Key = func(m msg) string { return m.session }
	cfg.Order = func(m msg) int { return m.client }
	c, err := observables.NewChecker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func forever(int, error) time.Duration { return time.Hour }

// outcome collects what a checker lets out.
type outcome struct {
	mu  sync.Mutex
	all []checked
}

func (o *outcome) add(v checked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, v)
}

func (o *outcome) sessions() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var s []string
	for _, v := range o.all {
		s = append(s, v.Item.session)
	}
	return strings.Join(s, " ")
}

func TestCheckUnderRandomTraffic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			const clients, keys, parallel, queue, items = 7, 9, 4, 32, 2000
			rnd := rand.New(rand.NewPCG(seed, 0))
			var inFlight, most, lookups atomic.Int64
			var perKey [keys]atomic.Int64
			var seedMu sync.Mutex
			many := func(_ context.Context, ids []string) ([]int, error) {
				seedMu.Lock()
				pause, fate := rnd.IntN(3000), rnd.IntN(12)
				seedMu.Unlock()
				var verdicts []int
				for _, key := range ids {
					if perKey[key[0]-'a'].Add(1) > 1 {
						t.Errorf("two lookups of %s at once", key)
					}
					defer perKey[key[0]-'a'].Add(-1)
					verdicts = append(verdicts, int(lookups.Add(1)))
				}
				n := inFlight.Add(1)
				defer inFlight.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Duration(pause) * time.Microsecond)
				switch fate {
				case 0:
					panic("lookup bug")
				case 1:
					return nil, errors.New("lookup failed")
				case 2:
					runtime.Goexit()
				}
				return verdicts, nil
			}
			cfg := checkConfig{Parallel: parallel, Queue: queue, MaxKeys: 5,
				TTL: func(v int, _ error) time.Duration { return time.Duration(v%3) * 5 * time.Millisecond }}
			if seed%2 == 0 {
				cfg.Lookup = func(ctx context.Context, key string) (int, error) {
					verdicts, err := many(ctx, []string{key})
					return append(verdicts, 0)[0], err
				}
			} else {
				cfg.Batch, cfg.LookupBatch = 3, func(ctx context.Context, keys []string) ([]int, error) {
					if len(keys) == 0 || len(keys) > 3 {
						t.Errorf("a call for %d keys, want 1 to 3", len(keys))
					}
					return many(ctx, keys)
				}
			}
			c := newChecker(t, cfg)
			s := observables.NewSubject[msg](observables.Config{Buffer: 16})
			var last [clients]int
			var got int
			var running atomic.Int64
			sub := observables.Pipe2(s.Stream(), c.Op(), observables.Do(func(checked) { running.Add(1) })).Subscribe(t.Context(), func(v checked) {
				if running.Add(-1) != 0 {
					t.Error("two handlers at once")
				}
				if got++; v.Item.n != last[v.Item.client]+1 {
					t.Errorf("seed %d client %d: %d after %d", seed, v.Item.client, v.Item.n, last[v.Item.client])
				}
				last[v.Item.client] = v.Item.n
				if v.Err == nil && v.Verdict == 0 {
					t.Error("no verdict and no error")
				}
			}, func(err error) { t.Errorf("onError: %v", err) }, nil)
			var sent [clients]int
			for range items {
				seedMu.Lock()
				client, key, pause, inval := rnd.IntN(clients), rnd.IntN(keys), rnd.IntN(50), rnd.IntN(40)
				seedMu.Unlock()
				sent[client]++
				s.OnNext(msg{client, string(rune('a' + key)), sent[client]})
				if pause == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				switch inval {
				case 0:
					c.Invalidate(string(rune('a' + key)))
				case 1:
					c.InvalidateAll()
				}
				if _, _, cached, waiting := c.Sizes(); waiting > queue || cached > 5 {
					t.Errorf("%d waiting and %d cached, want at most %d and 5", waiting, cached, queue)
				}
			}
			synctest.Wait()
			time.Sleep(time.Second)
			synctest.Wait()
			if keys, orders, cached, waiting := c.Sizes(); orders != 0 || waiting != 0 || keys != cached {
				t.Errorf("idle: %d keys, %d orders, %d cached, %d waiting", keys, orders, cached, waiting)
			}
			s.OnCompleted()
			<-sub.Done()
			if got != items || most.Load() > parallel {
				t.Errorf("got %d items and %d lookups at once, want %d and at most %d", got, most.Load(), items, parallel)
			}
		})
	}
}

// steps drives a checker whose lookups end when the test says so.
type steps struct {
	*checker
	subject *observables.Subject[msg]
	sub     *observables.Subscription
	out     outcome
	mu      sync.Mutex
	started []string
	gates   map[string]chan int
}

func newSteps(t *testing.T, cfg checkConfig) *steps {
	s := &steps{gates: map[string]chan int{}, subject: observables.NewSubject[msg](observables.Config{})}
	cfg.Lookup = func(ctx context.Context, key string) (int, error) {
		s.mu.Lock()
		s.started = append(s.started, key)
		s.mu.Unlock()
		select {
		case v := <-s.gate(key):
			return v, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	s.checker = newChecker(t, cfg)
	s.sub = s.Op()(s.subject.Stream()).Subscribe(t.Context(), s.out.add, nil, nil)
	return s
}

func (s *steps) gate(key string) chan int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates[key] == nil {
		s.gates[key] = make(chan int)
	}
	return s.gates[key]
}

func (s *steps) send(client int, sessions ...string) {
	for _, key := range sessions {
		s.subject.OnNext(msg{client: client, session: key})
	}
	synctest.Wait()
}

func (s *steps) answer(key string, v int) {
	s.gate(key) <- v
	synctest.Wait()
}

func (s *steps) lookups() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.started, " ")
}

func (s *steps) want(t *testing.T, lookups, out string) {
	t.Helper()
	if l, o := s.lookups(), s.out.sessions(); l != lookups || o != out {
		t.Errorf("got lookups %q and items %q out, want %q and %q", l, o, lookups, out)
	}
}

func TestCheckKeepsOrderAcrossKeysButNotAcrossClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, checkConfig{TTL: forever, Parallel: 4})
		s.send(1, "slow", "b", "b", "slow")
		s.send(2, "b")
		s.send(3, "c", "b", "slow", "c")
		s.answer("b", 1)
		s.want(t, "slow b c", "b") // client 2's, past client 1's
		s.answer("c", 1)
		s.want(t, "slow b c", "b c b")
		s.answer("slow", 1)
		s.want(t, "slow b c", "b c b slow b b slow slow c")
		s.send(1, "b", "c", "slow")
		s.want(t, "slow b c", "b c b slow b b slow slow c b c slow")
		s.subject.OnCompleted()
		<-s.sub.Done()
	})
}

func TestCheckSharesAVerdictWithAllThatArrivedBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, checkConfig{}) // no TTL
		s.send(1, "x", "a")
		s.send(2, "a", "a")
		s.answer("a", 7)
		s.want(t, "x a", "a a")
		s.send(3, "a") // after it returned
		s.want(t, "x a a", "a a")
		s.answer("x", 1) // client 1's a arrived in time
		s.want(t, "x a a", "a a x a")
		s.answer("a", 8)
		s.want(t, "x a a", "a a x a a")
		if v := []int{s.out.all[0].Verdict, s.out.all[3].Verdict, s.out.all[4].Verdict}; !slices.Equal(v, []int{7, 7, 8}) {
			t.Errorf("got verdicts %v, want 7 7 8", v)
		}
		if keys, orders, _, _ := s.Sizes(); keys != 0 || orders != 0 {
			t.Errorf("%d keys and %d orders left, want none", keys, orders)
		}
		s.sub.Dispose()
		<-s.sub.Done()
	})
}

func TestCheckTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, checkConfig{TTL: func(v int, err error) time.Duration { return time.Duration(v) * time.Second }})
		s.send(1, "a")
		s.answer("a", 10)
		for range 10 { // one item a second, each through an idle stream
			s.send(1, "a")
			time.Sleep(time.Second)
		}
		s.want(t, "a", strings.TrimSpace(strings.Repeat("a ", 11)))
		s.send(1, "a")
		s.want(t, "a a", strings.TrimSpace(strings.Repeat("a ", 11)))
		s.answer("a", 0)
		if _, _, cached, _ := s.Sizes(); cached != 0 {
			t.Errorf("%d cached after a TTL of 0, want 0", cached)
		}
		s.sub.Dispose()
		<-s.sub.Done()
	})
}

func TestCheckInvalidate(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSteps(t, checkConfig{TTL: forever})
			invalidate := func() {
				if all {
					s.InvalidateAll()
				} else {
					s.Invalidate("a")
				}
			}
			invalidate() // unknown: nothing happens
			s.send(1, "a")
			s.answer("a", 1)
			invalidate()
			s.send(1, "a")
			s.want(t, "a a", "a") // cached verdict dropped
			invalidate()
			s.send(2, "a")
			s.answer("a", 2)
			s.want(t, "a a a", "a") // the one in flight was not used
			s.answer("a", 3)
			s.want(t, "a a a", "a a a")
			for i, want := range []int{1, 3, 3} {
				if got := s.out.all[i].Verdict; got != want {
					t.Errorf("item %d: got verdict %d, want %d", i, got, want)
				}
			}
			s.Invalidate("a")
			s.send(3, "b", "a") // a is looked up ahead, dropped while it waits, and looked up again
			s.answer("a", 4)
			s.Invalidate("a")
			s.answer("b", 1)
			s.want(t, "a a a b a a", "a a a b")
			s.answer("a", 5)
			s.want(t, "a a a b a a", "a a a b a")
			if got := s.out.all[4].Verdict; got != 5 {
				t.Errorf("got verdict %d, want 5", got)
			}
			s.subject.OnCompleted()
			<-s.sub.Done()
		})
	}
}

func TestCheckLetsErrorsAndPanicsOut(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	c := newChecker(t, checkConfig{Timeout: time.Millisecond, Lookup: func(ctx context.Context, key string) (int, error) {
		switch key {
		case "error":
			return 0, down
		case "panic":
			panic(down)
		case "timeout":
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return 1, nil
	}})
	s := observables.NewSubject[msg](observables.Config{})
	_, got := collect(t, c.Op()(s.Stream()))
	for _, key := range []string{"error", "panic", "timeout", "good"} {
		s.OnNext(msg{session: key})
	}
	s.OnCompleted()
	var item *observables.ItemError
	all := got()
	if len(all) != 4 || !errors.Is(all[0].Err, down) || !errors.As(all[1].Err, &item) || !errors.Is(all[1].Err, down) ||
		!errors.Is(all[2].Err, context.DeadlineExceeded) || all[3].Err != nil || all[3].Verdict != 1 {
		t.Errorf("got %v", all)
	}
}

func TestCheckIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, checkConfig{Queue: 10, TTL: forever})
		s.subject.OnCompleted() // that subject had too large a buffer
		small := observables.NewSubject[msg](observables.Config{Buffer: 1})
		s.sub = s.Op()(small.Stream()).Subscribe(t.Context(), s.out.add, nil, nil)
		var published atomic.Int64
		go func() {
			for range 50 {
				small.OnNext(msg{session: "a"})
				published.Add(1)
			}
			small.OnCompleted()
		}()
		synctest.Wait()
		if _, _, _, waiting := s.Sizes(); waiting != 10 || published.Load() > 13 {
			t.Errorf("%d waiting and %d published, want 10 and at most 13", waiting, published.Load())
		}
		s.answer("a", 1)
		<-s.sub.Done()
		if n := len(s.out.all); n != 50 {
			t.Errorf("got %d items, want 50", n)
		}
	})
}

func TestCheckWithASlowHandlerIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChecker(t, checkConfig{Queue: 10,
			Lookup: func(context.Context, string) (int, error) { time.Sleep(time.Microsecond); return 1, nil }})
		s := observables.NewSubject[msg](observables.Config{Buffer: 1})
		free := make(chan struct{})
		var got int
		sub := c.Op()(s.Stream()).Subscribe(t.Context(), func(checked) { <-free; got++ }, nil, nil)
		var published atomic.Int64
		go func() {
			for i := range 5000 {
				s.OnNext(msg{client: i % 3, session: string(rune('a' + i%5))})
				published.Add(1)
			}
			s.OnCompleted()
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := published.Load(); n < 1024 || n > 1024+1024+10+4 {
			t.Errorf("%d went in before a handler that stands still, want about 1024 and at most 2062", n)
		}
		close(free)
		<-sub.Done()
		if got != 5000 {
			t.Errorf("got %d items, want 5000", got)
		}
	})
}

func TestCheckDisposeMidLookup(t *testing.T) {
	t.Parallel()
	for i := range 100 {
		started := make(chan struct{}, 100)
		c := newChecker(t, checkConfig{Queue: 4, Parallel: 2, Lookup: func(ctx context.Context, _ string) (int, error) {
			started <- struct{}{}
			<-ctx.Done()
			return 0, ctx.Err()
		}})
		s := observables.NewSubject[msg](observables.Config{Buffer: 2})
		var late atomic.Int64
		sub := c.Op()(s.Stream()).Subscribe(t.Context(), func(checked) { late.Add(1) }, nil, nil)
		published := make(chan struct{})
		go func() {
			defer close(published)
			for n := range 20 { // blocks
				s.OnNext(msg{client: n % 3, session: string(rune('a' + n%(1+i%5)))})
			}
		}()
		<-started
		if i%2 == 0 {
			s.OnCompleted()
		}
		sub.Dispose()
		wait(t, "publisher", published)
		wait(t, "done", sub.Done())
		if keys, orders, _, _ := c.Sizes(); late.Load() != 0 || keys != 0 || orders != 0 || !errors.Is(sub.Err(), observables.ErrDisposed) {
			t.Fatalf("got %d items, %d keys, %d orders, %v", late.Load(), keys, orders, sub.Err())
		}
	}
}

func TestCheckLookupsEndWhenTheirPartOfTheChainDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cancelled atomic.Bool
		first := newChecker(t, checkConfig{Lookup: func(ctx context.Context, key string) (int, error) {
			if key == "slow" {
				<-ctx.Done()
				cancelled.Store(true)
			}
			return 1, ctx.Err()
		}})
		free := make(chan struct{})
		s := observables.NewSubject[msg](observables.Config{})
		sub := observables.Pipe3(s.Stream(), first.Op(), observables.Take[checked](1), func(s observables.Stream[checked]) observables.Stream[checked] { return observables.Merge(s) }).
			Subscribe(t.Context(), func(checked) { <-free }, nil, nil)
		s.OnNext(msg{client: 1, session: "slow"})
		s.OnNext(msg{client: 2, session: "fast"})
		synctest.Wait()
		if !cancelled.Load() || s.Subscribers() != 0 {
			t.Errorf("cancelled: %t, %d subscribers; want true, 0 while the handler is busy", cancelled.Load(), s.Subscribers())
		}
		close(free)
		<-sub.Done()
	})
}

func TestCheckAnswersWhatWaitsWhenTheStreamEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, checkConfig{})
		broken := errors.New("broken")
		s.send(1, "a", "b")
		s.subject.OnError(broken)
		synctest.Wait()
		s.answer("b", 1)
		s.answer("a", 1)
		<-s.sub.Done()
		s.want(t, "a b", "a b")
		if !errors.Is(s.sub.Err(), broken) {
			t.Errorf("got %v, want %v", s.sub.Err(), broken)
		}
	})
}

func TestCheckForgetsExpiredVerdicts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := func(key string) bool { return strings.HasPrefix(key, "long") }
		var c *observables.Checker[string, string, string, string]
		c, err := observables.NewChecker(observables.CheckConfig[string, string, string, string]{
			Key: strings.Clone, Order: strings.Clone, MaxKeys: 5000,
			Lookup: func(_ context.Context, key string) (string, error) { return key, nil },
			TTL: func(key string, _ error) time.Duration {
				if long(key) {
					return time.Hour
				}
				return time.Second
			}})
		if err != nil {
			t.Fatal(err)
		}
		s := observables.NewSubject[string](observables.Config{})
		sub := c.Op()(s.Stream()).Subscribe(t.Context(), nil, nil, nil)
		s.OnNext("long") // at the head of the list: expired ones hide behind it
		for round := range 20 {
			for i := range 500 {
				s.OnNext("short" + string(rune(1000*round+i)))
			}
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		if keys, orders, cached, _ := c.Sizes(); keys != cached || cached > 1100 || orders != 0 {
			t.Errorf("%d keys, %d cached, %d orders after 20 times 500 short-lived ones, want at most 1100", keys, cached, orders)
		}
		for i := range 10_000 {
			s.OnNext("long" + string(rune(i)))
		}
		synctest.Wait()
		if keys, _, cached, _ := c.Sizes(); keys != 5000 || cached != 5000 {
			t.Errorf("%d keys, %d cached, want MaxKeys, 5000", keys, cached)
		}
		sub.Dispose()
		<-sub.Done()
	})
}

func TestCheckPassesFreshVerdictsWithoutAllocating(t *testing.T) {
	c := newChecker(t, checkConfig{TTL: forever, Lookup: func(context.Context, string) (int, error) { return 1, nil }})
	s := observables.NewSubject[msg](observables.Config{})
	seen := make(chan struct{}, 1)
	sub := c.Op()(s.Stream()).Subscribe(t.Context(), func(v checked) {
		if v.Item.n == 0 {
			seen <- struct{}{}
		}
	}, nil, nil)
	batch := make([]msg, 500)
	for i := range batch {
		batch[i] = msg{client: i % 10, session: "abcdefghij"[i%10 : i%10+1], n: len(batch) - 1 - i}
	}
	round := func() {
		_ = s.PublishBatch(t.Context(), batch)
		<-seen
	}
	for range 10 {
		round()
	}
	if n := testing.AllocsPerRun(20, round); n > 1 {
		t.Errorf("%v allocations for %d items, want 0", n, len(batch))
	}
	sub.Dispose()
	wait(t, "done", sub.Done())
}

func TestCheckConfigIsValidated(t *testing.T) {
	t.Parallel()
	key, order := func(m msg) string { return m.session }, func(m msg) int { return m.client }
	lookup := func(context.Context, string) (int, error) { return 0, nil }
	for field, cfg := range map[string]checkConfig{
		"Key":         {Order: order, Lookup: lookup},
		"Order":       {Key: key, Lookup: lookup},
		"Lookup":      {Key: key, Order: order},
		"LookupBatch": {Key: key, Order: order, Lookup: lookup, LookupBatch: func(context.Context, []string) ([]int, error) { return nil, nil }},
		"Parallel":    {Key: key, Order: order, Lookup: lookup, Parallel: -1},
		"Batch":       {Key: key, Order: order, Lookup: lookup, Batch: -1},
		"Queue":       {Key: key, Order: order, Lookup: lookup, Queue: -1},
		"MaxKeys":     {Key: key, Order: order, Lookup: lookup, MaxKeys: -1},
		"Timeout":     {Key: key, Order: order, Lookup: lookup, Timeout: -1},
	} {
		if _, err := observables.NewChecker(cfg); err == nil || !strings.Contains(err.Error(), "CheckConfig."+field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
