package jobs_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

func TestPause(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		b, _, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: &got}, "other": {Handler: &got}}})
		ctx, c := context10(t), client(t, url)
		add := func(queue, s string) {
			t.Helper()
			if _, err := b.DoEnqueue(ctx, queue, jobs.Job{Message: text(s)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Pause(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		// A read that waits in Redis may take one more job, which is given back.
		add("q", "1")
		add("q", "2")
		add("other", "other")
		eventually(t, "the other queue", func() bool { return got.distinct() > 0 })
		eventually(t, "nothing is held", func() bool {
			p, err := c.XPending(ctx, "{m:q:q:0}:s0", "g").Result()
			return err == nil && p.Count == 0
		})
		// A worker that joins later respects it too.
		var late record
		agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: &late}}})
		hold := time.Now().Add(300 * time.Millisecond)
		eventually(t, "some time", func() bool { return time.Now().After(hold) })
		before := got.distinct()
		if late.distinct() > 0 {
			t.Errorf("a worker that joined while the queue was paused has handled %v", late.all())
		}
		add("q", "3")
		if err := b.Resume(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all", func() bool { return got.distinct()+late.distinct() == 4 })
		if before > 3 {
			t.Errorf("%d were handled during the pause", before-1)
		}
		if err := b.Pause(ctx, "no queue's name"); err == nil {
			t.Error("a bad name was accepted")
		}
	})
}

// TestPriorities: urgent jobs go first, but the others are not starved.
func TestPriorities(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		b := start(t, quick(client(t, url)))
		ctx := context10(t)
		const each = 40
		for i := range 4 * each {
			j := jobs.Job{Priority: i % 4, Message: text(name(i % 4))}
			if i%8 < 4 {
				j.Key = name(i)
			}
			if _, err := b.DoEnqueue(ctx, "q", j); err != nil {
				t.Fatal(err)
			}
		}
		var got record
		agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Concurrency: 1, Prefetch: -1, Handler: message.HandlerFunc(
			func(ctx context.Context, m *message.Message) error {
				if info, _ := jobs.InfoFrom(ctx); name(info.Priority) != m.Text {
					t.Errorf("priority %d, want %s", info.Priority, m.Text)
				}
				return got.Handle(ctx, m)
			})}}})
		eventually(t, "all", func() bool { return len(got.all()) == 4*each })
		all := got.all()
		urgent := 0
		for _, s := range all[:each] {
			if s == name(3) {
				urgent++
			}
		}
		if urgent < each*8/10 {
			t.Errorf("%d of the first %d were urgent: %v", urgent, each, all[:each])
		}
		if first := slices.Index(all, name(0)); first > 2*each {
			t.Errorf("the first of the others came as number %d", first)
		}
	})
}

// TestUrgentJobOvertakesAWaitingQueue: without a backlog of urgent jobs the cheaper way to read is used;
// it must notice them at once.
func TestUrgentJobOvertakesAWaitingQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		free := make(chan struct{})
		b, _, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Concurrency: 1, Prefetch: -1, Handler: message.HandlerFunc(
			func(ctx context.Context, m *message.Message) error {
				if m.Text == "first" {
					<-free
				}
				return got.Handle(ctx, m)
			})}}})
		ctx := context10(t)
		for i, s := range []string{"first", "low", "low", "low", "low", "urgent"} {
			j := jobs.Job{Message: text(s)}
			if s == "urgent" {
				j.Priority = 3
			}
			if _, err := b.DoEnqueue(ctx, "q", j); err != nil {
				t.Fatal(i, err)
			}
		}
		close(free)
		eventually(t, "all", func() bool { return len(got.all()) == 6 })
		if at := slices.Index(got.all(), "urgent"); at > 2 {
			t.Errorf("the urgent job came as number %d: %v", at, got.all())
		}
	})
}
