package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// crowd counts how many run at a time, by type.
type crowd struct {
	mu         sync.Mutex
	now, most  map[string]int
	done       int
	hold       time.Duration
	interrupts int
}

func (c *crowd) Handle(ctx context.Context, m *message.Message) error {
	c.count(m.Type, 1)
	defer c.count(m.Type, -1)
	select {
	case <-time.After(c.hold):
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.interrupts++
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	return nil
}

func (c *crowd) count(kind string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		c.now, c.most = make(map[string]int), make(map[string]int)
	}
	for _, k := range []string{kind, "*"} {
		c.now[k] += n
		c.most[k] = max(c.most[k], c.now[k])
	}
}

func (c *crowd) finished() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func partitioned(t *testing.T, url string, cfg jobs.WorkerConfig) *jobs.Broker {
	t.Helper()
	c := quick(client(t, url))
	c.Partitions = 8
	b := start(t, c)
	if len(cfg.Queues) > 0 {
		work(t, b, cfg)
	}
	return b
}

// TestConcurrencyOverPartitions: a limited concurrency holds for the queue and not for each partition, for agents
// together, through handlers that fail; and it is made use of.
func TestConcurrencyOverPartitions(t *testing.T) {
	t.Parallel()
	url := testredis.Start(t).URL
	c := &crowd{hold: 10 * time.Millisecond}
	failing := message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		if err := c.Handle(ctx, m); err != nil {
			return err
		}
		if info, _ := jobs.InfoFrom(ctx); info.Attempt == 1 && m.Text == "fails" {
			return errors.New("for the test")
		}
		return nil
	})
	on := jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Handler: failing, Concurrency: 16}}}
	b := partitioned(t, url, on)
	partitioned(t, url, on)
	limits := jobs.Limits{Queue: jobs.Limit{Concurrency: 5}, Kinds: map[string]jobs.Limit{"Slow": {Concurrency: 2}}}
	if err := b.SetLimits(t.Context(), "work", limits); err != nil {
		t.Fatal(err)
	}
	if list, err := b.Queues(t.Context()); err != nil || list[0].Limits == nil || list[0].Limits.Queue.Concurrency != 5 {
		t.Errorf("the queue's limits are told as %+v, %v", list[0].Limits, err)
	}
	waitFor(1500 * time.Millisecond) // until all workers have heard
	const n = 100
	for i := range n {
		kind, word := "Quick", ""
		if i%2 == 0 {
			kind = "Slow"
		}
		if i%10 == 0 {
			word = "fails"
		}
		j := jobs.Job{Message: &message.Message{Type: kind, Text: word}}
		if i%3 == 0 {
			j.Key = fmt.Sprint(i % 9)
		}
		b.Enqueue("work", j, func(_ jobs.Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	began := time.Now()
	eventually(t, "all are done", func() bool { return c.finished() >= n+n/10 })
	t.Logf("%d runs in %v, at most %v at a time", c.finished(), time.Since(began).Round(time.Millisecond), c.most)
	if c.most["*"] > 5 || c.most["Slow"] > 2 || c.most["*"] < 3 {
		t.Errorf("ran at a time: %v", c.most)
	}
	eventually(t, "all permits are back", func() bool {
		r := client(t, url)
		return r.ZCard(t.Context(), "{m:q:work:0}:p:*").Val()+r.ZCard(t.Context(), "{m:q:work:0}:p:kind Slow").Val() == 0
	})
}

// TestCancelOverPartitions: Cancel finds a job whatever partition it is in: delayed, running, waiting.
func TestCancelOverPartitions(t *testing.T) {
	t.Parallel()
	url := testredis.Start(t).URL
	c := &crowd{hold: deadline}
	b := partitioned(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Handler: c, Concurrency: 96}}})
	ctx := context10(t)
	var delayed, running []string
	for i := range 12 {
		later, err := b.DoEnqueue(ctx, "work", jobs.Job{At: time.Now().Add(time.Hour), Message: text("later")})
		if err != nil {
			t.Fatal(err)
		}
		now, err := b.DoEnqueue(ctx, "work", jobs.Job{Key: fmt.Sprint(i), ResultFor: time.Minute, Message: text("now")})
		if err != nil {
			t.Fatal(err)
		}
		delayed, running = append(delayed, later.ID), append(running, now.ID)
	}
	behind, err := b.DoEnqueue(ctx, "work", jobs.Job{Key: "3", ResultFor: time.Minute, Message: text("behind")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all run", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.now["*"] == 12 })
	for _, id := range delayed {
		if gone, err := b.Cancel(ctx, "work", id); err != nil || !gone {
			t.Errorf("a delayed job: %v, %v", gone, err)
		}
	}
	for _, id := range append([]string{behind.ID}, running...) {
		if gone, err := b.Cancel(ctx, "work", id); err != nil || gone {
			t.Errorf("a running job: %v, %v", gone, err)
		}
	}
	eventually(t, "nothing runs", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.now["*"] == 0 && c.interrupts == 12 })
	eventually(t, "nothing is left", func() bool {
		list, err := b.Queues(ctx)
		return err == nil && list[0].Waiting+list[0].Active+list[0].Blocked+list[0].Aside == 0
	})
	if c.finished() > 0 {
		t.Errorf("%d ran to their end", c.finished())
	}
}
