package jobs_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestScale is short; TestChaosScale has a million waiting jobs, 100,000 keys and 1,000 inboxes.
func TestScale(t *testing.T) {
	t.Parallel()
	scale(t, 20_000, 2_000, 50)
}

// scale measures what enqueueing and working cost Redis before and after it holds many jobs of many keys, beside
// many inboxes. It prints CPU time per job, which other load on the machine changes little, and memory.
func scale(t *testing.T, waiting, keys, inboxes int) {
	url := testredis.Start(t).URL
	c := client(t, url)
	cfg := quick(client(t, url))
	cfg.MaxLen, cfg.Lease, cfg.AgentTTL = int64(4*waiting), time.Minute, time.Minute
	b := start(t, cfg)
	wait, done := confirmations(t)
	fill := func(queue string, n, keys int) {
		for i := range n {
			j := jobs.Job{Message: text(strings.Repeat("x", 100))}
			if keys > 0 {
				j.Key = fmt.Sprint("key ", i%keys)
			}
			done(func(told func(jobs.Receipt, error)) { b.Enqueue(queue, j, told) })
			if i%8192 == 8191 {
				wait()
			}
		}
		wait()
	}
	sample := max(5_000, waiting/50)
	var handled atomic.Int64
	worker := start(t, cfg2(cfg, client(t, url)))
	work(t, worker, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"measured": {Concurrency: 50, Handler: message.HandlerFunc(func(context.Context, *message.Message) error {
		handled.Add(1)
		return nil
	})}}})
	fill("measured", 2000, 100) // warm
	measure := func(queue string, until func() bool) time.Duration {
		before := redisCPU(t, c)
		fill(queue, sample, sample/10)
		eventually(t, "the sample is through", until)
		return (redisCPU(t, c) - before) / time.Duration(sample)
	}
	through := func() func() bool {
		want := handled.Load() + int64(sample)
		return func() bool { return handled.Load() >= want }
	}
	eventually(t, "it is warm", func() bool { return handled.Load() == 2000 })
	enqueueBefore := measure("other", func() bool { return true })
	bothBefore := measure("measured", through())

	empty := usedMemory(t, c)
	fill("waiting", waiting/2, 0)
	plain := usedMemory(t, c)
	fill("waiting", waiting/2, keys)
	keyed := usedMemory(t, c)
	idle := client(t, url)
	for i := range inboxes { // agents that are there and read nothing
		agent := cfg2(cfg, idle)
		agent.Incarnation = fmt.Sprint("idle-", i)
		other, err := jobs.New(agent)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Join(t.Context(), jobs.WorkerConfig{Name: "idle"}); err != nil {
			t.Fatal(err)
		}
		done(func(told func(jobs.Receipt, error)) {
			b.SendTo(agent.Incarnation, jobs.Job{Message: text("hello")}, told)
		})
	}
	wait()
	all := usedMemory(t, c)

	enqueueAfter := measure("waiting", func() bool { return true })
	bothAfter := measure("measured", through())
	t.Logf("CPU of Redis per job: enqueue %v, with %d waiting, %d keys and %d inboxes %v; enqueue and work %v, then %v",
		enqueueBefore, waiting, keys, inboxes, enqueueAfter, bothBefore, bothAfter)
	t.Logf("memory per waiting job of 100 bytes: plain %d B, keyed %d B; per inbox with a job %d B",
		(plain-empty)/int64(waiting/2), (keyed-plain)/int64(waiting/2), (all-keyed)/int64(inboxes))
	if enqueueAfter > 10*enqueueBefore || bothAfter > 10*bothBefore {
		t.Error("the cost depends on how much waits")
	}
}

func cfg2(c jobs.Config, r *redisx.Client) jobs.Config {
	c.Redis, c.Incarnation = r, ""
	return c
}

// confirmations counts what is under way.
func confirmations(t *testing.T) (wait func(), submit func(func(func(jobs.Receipt, error)))) {
	var sent, told atomic.Int64
	return func() {
			t.Helper()
			end := time.Now().Add(2 * time.Minute)
			for told.Load() < sent.Load() {
				if time.Now().After(end) {
					t.Fatal("jobs are not confirmed")
				}
				waitFor(time.Millisecond)
			}
		}, func(submit func(func(jobs.Receipt, error))) {
			sent.Add(1)
			submit(func(_ jobs.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
				told.Add(1)
			})
		}
}

func redisCPU(t *testing.T, c *redisx.Client) time.Duration {
	t.Helper()
	var total float64
	for line := range strings.Lines(c.Info(t.Context(), "cpu").Val()) {
		for _, name := range []string{"used_cpu_sys_main_thread:", "used_cpu_user_main_thread:"} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				var n float64
				_, _ = fmt.Sscan(rest, &n)
				total += n
			}
		}
	}
	return time.Duration(total * float64(time.Second))
}

func usedMemory(t *testing.T, c *redisx.Client) (n int64) {
	t.Helper()
	_, rest, _ := strings.Cut(c.Info(t.Context(), "memory").Val(), "used_memory:")
	_, _ = fmt.Sscan(rest, &n)
	return n
}
