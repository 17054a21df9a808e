package jobs_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/redis/go-redis/v9"
)

func number(i int) string { return strconv.Itoa(i) }

// waitFor is for what has no condition to wait for: a lease that runs out elsewhere.
func waitFor(d time.Duration) { <-time.After(d) }

// TestDrainStrandsNothing drains workers one after the other under load. With a lease of a minute anything
// that is stranded would show.
func TestDrainStrandsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		var order sequence
		slow := message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			waitFor(time.Millisecond)
			return got.Handle(ctx, m)
		})
		config := jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{
			"plain": {Handler: slow, Concurrency: 4},
			"keyed": {Handler: order.handle(0), Concurrency: 4},
		}}
		join := func() *jobs.Worker {
			cfg := quick(client(t, url))
			cfg.Lease = time.Minute
			w, _ := work(t, start(t, cfg), config)
			return w
		}
		b := start(t, quick(client(t, url)))
		const n = 600
		workers := []*jobs.Worker{join(), join()}
		ctx := context10(t)
		for i := range n {
			for _, j := range []jobs.Job{{Message: text(name(i))}, {Key: "k" + number(i%7), Message: text("k" + number(i%7) + "/" + number(i/7))}} {
				queue := "plain"
				if j.Key != "" {
					queue = "keyed"
				}
				b.Enqueue(queue, j, func(_ jobs.Receipt, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if i%150 == 149 {
				eventually(t, "work has begun", func() bool { return got.distinct() > i/4 })
				workers = append(workers, join())
				if err := workers[0].Drain(ctx); err != nil {
					t.Fatal(err)
				}
				workers = workers[1:]
			}
		}
		eventually(t, "all done", func() bool { return got.distinct() == n && order.count() >= n })
		if calls := len(got.all()); calls != n || order.count() != n || len(order.errors) > 0 {
			t.Errorf("%d and %d handler calls for %d jobs; order: %v", calls, order.count(), n, order.errors)
		}
		c := client(t, url)
		for _, q := range []string{"plain", "keyed"} {
			eventually(t, "the consumers of those who left are gone", func() bool {
				consumers, err := c.XInfoConsumers(ctx, "{m:q:"+q+":0}:s0", "g").Result()
				return err == nil && !slices.ContainsFunc(consumers, func(i redis.XInfoConsumer) bool {
					return !slices.ContainsFunc(workers, func(w *jobs.Worker) bool { return w.Incarnation() == i.Name })
				})
			})
		}
	})
}

// TestDrainHandsTheInboxOver at once, although the registration would hold for a minute.
func TestDrainHandsTheInboxOver(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		cfg := quick(client(t, url))
		cfg.AgentTTL = time.Minute
		b := start(t, cfg)
		release := make(chan struct{})
		var once sync.Once
		begun := make(chan struct{})
		var mine record
		w, _ := work(t, b, jobs.WorkerConfig{Inbox: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			mine.add(m.Text)
			once.Do(func() { close(begun) })
			<-release
			return nil
		})})
		ctx := context10(t)
		var orphans, died record
		other := quick(client(t, url))
		other.AgentTTL = time.Minute
		ob := start(t, other)
		work(t, ob, jobs.WorkerConfig{
			Orphan: func(_ context.Context, dead string, j jobs.Job) error { orphans.add(j.Message.Text); return nil },
			Died:   func(_ context.Context, dead string) error { died.add(dead); return nil },
		})
		const n = 20
		var want []string
		for i := range n {
			want = append(want, name(i))
			if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		<-begun
		drained := make(chan error, 1)
		go func() { drained <- w.Drain(ctx) }()
		waitFor(50 * time.Millisecond)
		close(release)
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
		eventually(t, "the inbox is handed over", func() bool { return len(died.all()) == 1 })
		if all := append(mine.all(), orphans.all()...); !slices.Equal(all, want) {
			t.Errorf("got %v", all)
		}
		eventually(t, "the list forgets it", func() bool { return !ob.Alive(w.Incarnation()) })
	})
}

// TestDrainCancels handlers when its context ends; their jobs are given back.
func TestDrainCancels(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		begun := make(chan struct{}, 1)
		b, w, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			begun <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})}}})
		if _, err := b.DoEnqueue(context10(t), "q", jobs.Job{Key: "k", Message: text("x")}); err != nil {
			t.Fatal(err)
		}
		<-begun
		short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := w.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain: %v, want DeadlineExceeded", err)
		}
		var got record
		cfg := quick(client(t, url))
		cfg.Lease = time.Minute
		work(t, start(t, cfg), jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: &got}}})
		eventually(t, "another worker has it", func() bool { return got.distinct() == 1 })
	})
}

// TestZombieIsFenced holds a worker's connections up until its lease has run out. Another one does the job,
// and the first can neither end it nor release its key.
func TestZombieIsFenced(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		p := newProxy(t, url)
		begun, cancelled, finish := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
		_, _, stop := agent(t, p.url(), jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			begun <- struct{}{}
			<-ctx.Done()
			close(cancelled)
			<-finish
			return nil
		}), Concurrency: 1}}})
		b := start(t, quick(client(t, url)))
		ctx, c := context10(t), client(t, url)
		for _, s := range []string{"first", "second"} {
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Key: "k", Message: text(s)}); err != nil {
				t.Fatal(err)
			}
		}
		<-begun
		p.hold()
		var got record
		release := make(chan struct{})
		var running atomic.Int64
		agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(func(_ context.Context, m *message.Message) error {
			running.Add(1)
			<-release
			got.add(m.Text)
			return nil
		})}}})
		eventually(t, "another worker has taken it over", func() bool { return running.Load() == 1 })
		p.let()
		<-cancelled
		close(finish) // the zombie says done
		stop()
		if n := c.LLen(ctx, "{m:q:q:0}:k:k").Val(); n != 2 || running.Load() != 1 {
			t.Errorf("the mailbox holds %d, %d run; want 2, 1", n, running.Load())
		}
		close(release)
		eventually(t, "both are done", func() bool { return got.distinct() == 2 })
		if all := got.all(); !slices.Equal(all, []string{"first", "second"}) {
			t.Errorf("order %v", all)
		}
	})
}

// TestStoppedAgentRejoins: an agent that was held up for long finds itself declared dead, its inbox emptied
// by another, and comes back under the same name.
func TestStoppedAgentRejoins(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		p := newProxy(t, url)
		var inbox, orphans record
		rejoined := make(chan struct{}, 1)
		_, w, _ := agent(t, p.url(), jobs.WorkerConfig{Inbox: &inbox, Rejoined: func(context.Context) { rejoined <- struct{}{} }})
		b, _, _ := agent(t, url, jobs.WorkerConfig{Orphan: func(_ context.Context, dead string, j jobs.Job) error {
			orphans.add(j.Message.Text)
			return nil
		}})
		ctx := context10(t)
		p.hold()
		sent := 0
		eventually(t, "it is gone", func() bool {
			_, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: text(name(sent))})
			if err == nil {
				sent++
			}
			return errors.Is(err, jobs.ErrNoAgent)
		})
		eventually(t, "its jobs were handed out", func() bool { return orphans.distinct() == sent })
		p.let()
		<-rejoined
		if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: text("again")}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is back", func() bool { return slices.Contains(inbox.all(), "again") })
	})
}
