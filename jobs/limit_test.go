package jobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestRates: with a rate, n jobs take at least (n - burst) / rate, over all agents.
func TestRates(t *testing.T) {
	for what, c := range map[string]struct {
		limits jobs.Limits
		key    string
	}{
		"queue": {limits: jobs.Limits{Queue: jobs.Limit{Rate: 50, Burst: 5}}},
		"kind":  {limits: jobs.Limits{Kinds: map[string]jobs.Limit{"Slow": {Rate: 50, Burst: 5}}}},
		"key":   {limits: jobs.Limits{Key: jobs.Limit{Rate: 50, Burst: 5}}, key: "k"},
	} {
		t.Run(what, func(t *testing.T) {
			onBoth(t, func(t *testing.T, url string) {
				ctx := context10(t)
				b := start(t, quick(client(t, url)))
				if err := b.SetLimits(ctx, "q", c.limits); err != nil {
					t.Fatal(err)
				}
				var got, others record
				var before atomic.Int64 // limited ones that came before the other one
				for range 2 {
					agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
						func(ctx context.Context, m *message.Message) error {
							if info, _ := jobs.InfoFrom(ctx); info.Attempt != 1 {
								t.Errorf("attempt %d", info.Attempt)
							}
							if m.Type == "Slow" {
								return got.Handle(ctx, m)
							}
							before.Store(int64(got.distinct()))
							return others.Handle(ctx, m)
						})}}})
				}
				const n = 45
				begin := time.Now()
				for i := range n {
					b.Enqueue("q", jobs.Job{Key: c.key, Message: &message.Message{Type: "Slow", Text: name(i)}}, func(_ jobs.Receipt, err error) {
						if err != nil {
							t.Error(err)
						}
					})
				}
				if what != "queue" {
					if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Key: "other", Message: text("x")}); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "all", func() bool { return got.distinct() == n })
				if what != "queue" && (others.distinct() == 0 || before.Load() == n) {
					t.Error("what is not limited had to wait for what is")
				}
				if took := time.Since(begin); took < 790*time.Millisecond {
					t.Errorf("%d jobs took %v, want at least 800ms", n, took)
				}
				if len(got.all()) != n {
					t.Errorf("%d calls for %d jobs", len(got.all()), n)
				}
				if c.key != "" {
					for i, s := range got.all() {
						if s != name(i) {
							t.Fatalf("the order of the key is lost: %v", got.all())
						}
					}
				}
			})
		})
	}
}

func TestConcurrency(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		ctx := context10(t)
		b := start(t, quick(client(t, url)))
		if err := b.SetLimits(ctx, "q", jobs.Limits{
			Queue: jobs.Limit{Concurrency: 5}, Kinds: map[string]jobs.Limit{"Slow": {Concurrency: 2}},
		}); err != nil {
			t.Fatal(err)
		}
		var got record
		var slow, all, mostSlow, mostAll atomic.Int64
		highest := func(most *atomic.Int64, n int64) {
			for {
				old := most.Load()
				if n <= old || most.CompareAndSwap(old, n) {
					return
				}
			}
		}
		for range 2 {
			agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
				func(ctx context.Context, m *message.Message) error {
					highest(&mostAll, all.Add(1))
					defer all.Add(-1)
					if m.Type == "Slow" {
						highest(&mostSlow, slow.Add(1))
						defer slow.Add(-1)
					}
					select {
					case <-time.After(3 * time.Millisecond):
					case <-ctx.Done():
					}
					return got.Handle(ctx, m)
				})}}})
		}
		const n = 100
		for i := range n {
			m := &message.Message{Type: "Slow", Text: name(i)}
			if i%2 == 0 {
				m.Type = "Fast"
			}
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Message: m}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all", func() bool { return got.distinct() == n })
		if mostSlow.Load() != 2 || mostAll.Load() > 5 || mostAll.Load() < 3 {
			t.Errorf("%d of the kind and %d in all ran at a time, want 2 and 3 to 5", mostSlow.Load(), mostAll.Load())
		}
		c := client(t, url)
		eventually(t, "nothing is counted", func() bool {
			counts := c.HGetAll(ctx, "{m:q:q:0}:fc").Val()
			return c.Exists(ctx, "{m:q:q:0}:f", "{m:q:q:0}:d").Val() == 0 && counts["*"] == "0" && counts["Slow"] == "0"
		})
		if err := b.SetLimits(ctx, "q", jobs.Limits{Key: jobs.Limit{Concurrency: 1}}); err == nil {
			t.Error("a limit without a meaning was accepted")
		}
	})
}
