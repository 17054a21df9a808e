package observables_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

type asyncConfig = observables.AsyncConfig[msg, int, msg]

func mapAsync(t *testing.T, cfg asyncConfig) observables.Op[msg, msg] {
	t.Helper()
	cfg.Key = func(m msg) int { return m.client }
	op, err := observables.MapAsync(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func TestMapAsyncUnderRandomTraffic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			const clients, parallel, queue, items = 7, 3, 16, 2000
			rnd := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			var busy [clients]bool
			var calls, most, failed int
			var entered, left atomic.Int64
			op := mapAsync(t, asyncConfig{Parallel: parallel, Queue: queue, Call: func(_ context.Context, m msg) (msg, error) {
				mu.Lock()
				if busy[m.client] {
					t.Errorf("two calls for client %d at once", m.client)
				}
				busy[m.client] = true
				calls++
				most = max(most, calls)
				pause, fate := rnd.IntN(1000), rnd.IntN(20)
				mu.Unlock()
				time.Sleep(time.Duration(pause) * time.Microsecond)
				mu.Lock()
				busy[m.client] = false
				calls--
				mu.Unlock()
				defer left.Add(1)
				switch fate {
				case 0:
					return m, errors.New("bad")
				case 1:
					panic("bug")
				case 2:
					runtime.Goexit()
				}
				return m, nil
			}})
			s := observables.NewSubject[msg](observables.Config{Buffer: 8})
			var last [clients]int
			got := 0
			sub := observables.Pipe2(s.Stream(), observables.Do(func(msg) {
				if n := entered.Add(1) - left.Load(); n > queue+parallel+1 { // a call leaves a moment before its item
					t.Errorf("%d inside, want at most %d", n, queue)
				}
			}), op).Subscribe(t.Context(), func(m msg) {
				if got++; m.n <= last[m.client] {
					t.Errorf("client %d: %d after %d", m.client, m.n, last[m.client])
				}
				last[m.client] = m.n
			}, func(error) { mu.Lock(); failed++; mu.Unlock() }, nil)
			for i := range items {
				mu.Lock()
				client := rnd.IntN(clients)
				mu.Unlock()
				s.OnNext(msg{client: client, n: i + 1})
			}
			s.OnCompleted()
			<-sub.Done()
			if got+failed != items || most > parallel || failed == 0 || sub.Err() != nil {
				t.Errorf("got %d and %d failed of %d, %d calls at once, %v", got, failed, items, most, sub.Err())
			}
		})
	}
}

func TestMapAsyncDisposeMidCall(t *testing.T) {
	t.Parallel()
	for i := range 50 {
		started := make(chan struct{}, 100)
		op := mapAsync(t, asyncConfig{Parallel: 2, Queue: 3, Call: func(ctx context.Context, m msg) (msg, error) {
			started <- struct{}{}
			<-ctx.Done()
			return m, ctx.Err()
		}})
		s := observables.NewSubject[msg](observables.Config{Buffer: 1})
		sub := op(s.Stream()).Subscribe(t.Context(), nil, nil, nil)
		published := make(chan struct{})
		go func() {
			defer close(published)
			for n := range 20 { // blocks
				s.OnNext(msg{client: n % (1 + i%5)})
			}
		}()
		<-started
		sub.Dispose()
		wait(t, "publisher", published)
		wait(t, "done", sub.Done())
	}
}

func TestMapAsyncTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := mapAsync(t, asyncConfig{Timeout: time.Second, Call: func(ctx context.Context, m msg) (msg, error) {
			<-ctx.Done()
			return m, ctx.Err()
		}})
		s := observables.NewSubject[msg](observables.Config{})
		var failed error
		sub := op(s.Stream()).Subscribe(t.Context(), nil, func(err error) { failed = err }, nil)
		s.OnNext(msg{})
		s.OnCompleted()
		<-sub.Done()
		if !errors.Is(failed, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", failed, context.DeadlineExceeded)
		}
	})
}

func TestAsyncConfigIsValidated(t *testing.T) {
	t.Parallel()
	key := func(msg) int { return 0 }
	call := func(context.Context, msg) (msg, error) { return msg{}, nil }
	for field, cfg := range map[string]asyncConfig{
		"Key":      {Call: call},
		"Call":     {Key: key},
		"Parallel": {Key: key, Call: call, Parallel: -1},
		"Queue":    {Key: key, Call: call, Queue: -1},
		"Timeout":  {Key: key, Call: call, Timeout: -1},
	} {
		if _, err := observables.MapAsync(cfg); err == nil || !strings.Contains(err.Error(), "AsyncConfig."+field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
