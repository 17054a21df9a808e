package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestRestartUnderLoad kills Redis twice while jobs and broadcasts flow. All confirmed ones arrive, in
// order, and nobody is taken for dead.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	var got record
	var order sequence
	var news [3]record
	var gaps, deaths atomic.Int64
	var events counts
	var b *jobs.Broker
	for i := range news {
		cfg := quick(client(t, server.URL))
		cfg.AgentTTL = time.Second
		cfg.Metrics = &events
		b = start(t, cfg)
		work(t, b, jobs.WorkerConfig{
			Queues: map[string]jobs.QueueConfig{
				"plain": {Handler: &got, Concurrency: 4},
				"keyed": {Handler: order.handle(0), Concurrency: 4},
			},
			Broadcast: &news[i],
			Gap:       func(context.Context) { gaps.Add(1) },
			Rejoined:  func(context.Context) { deaths.Add(1) },
			Orphan:    func(context.Context, string, jobs.Job) error { return nil },
		})
	}
	const n = 1000
	var confirmed atomic.Int64
	done := func(_ jobs.Receipt, err error) {
		if err != nil {
			t.Error(err)
		}
		confirmed.Add(1)
	}
	var want []string
	for i := range n {
		b.Enqueue("plain", jobs.Job{Message: text(name(i))}, done)
		b.Enqueue("keyed", jobs.Job{Key: "k", Message: text("k/" + number(i))}, done)
		if i < 300 {
			want = append(want, name(i))
			b.Broadcast(jobs.Job{Message: text(name(i))}, done)
		}
		if i%400 == 200 {
			eventually(t, "work has begun", func() bool { return got.distinct() >= i/2 })
			server.Kill()
			if i > 400 {
				waitFor(1200 * time.Millisecond) // longer than AgentTTL
			}
			server.Restart()
		}
	}
	eventually(t, "all confirmed", func() bool { return confirmed.Load() == 2*n+300 })
	eventually(t, "all plain jobs handled", func() bool { return got.distinct() == n })
	eventually(t, "all keyed jobs handled", func() bool { return order.count() >= n })
	for i := range news {
		eventually(t, "all broadcasts", func() bool { return len(news[i].all()) >= 300 })
		if all := news[i].all(); !slices.Equal(all, want) {
			t.Errorf("agent %d got %d broadcasts, or in another order", i, len(all))
		}
	}
	if len(order.errors) > 0 {
		t.Errorf("order: %v", order.errors)
	}
	t.Logf("%d and %d ran again; %s", len(got.all())-n, order.again, events.String())
	if gaps.Load() > 0 || deaths.Load() > 0 {
		t.Errorf("%d gaps, %d agents declared dead; want none", gaps.Load(), deaths.Load())
	}
}

// TestFlushHeals: after Redis has lost everything the agents go on by themselves.
func TestFlushHeals(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got, inbox, news record
		var gaps, rejoined atomic.Int64
		b, w, _ := agent(t, url, jobs.WorkerConfig{
			Queues: map[string]jobs.QueueConfig{"q": {Handler: &got}}, Inbox: &inbox, Broadcast: &news,
			Gap:      func(context.Context) { gaps.Add(1) },
			Rejoined: func(context.Context) { rejoined.Add(1) },
		})
		ctx, c := context10(t), client(t, url)
		send := func(s string) {
			t.Helper()
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Message: text(s)}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: text(s)}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.DoBroadcast(ctx, jobs.Job{Message: text(s)}); err != nil {
				t.Fatal(err)
			}
			eventually(t, s+" has arrived", func() bool {
				return slices.Contains(got.all(), s) && slices.Contains(inbox.all(), s) && slices.Contains(news.all(), s)
			})
		}
		send("before")
		send("before too")
		if err := c.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		_ = c.ScriptFlush(ctx).Err()
		eventually(t, "it registers again", func() bool { return rejoined.Load() == 1 })
		send("after")
		eventually(t, "the gap is told", func() bool { return gaps.Load() > 0 })
		if err := c.XGroupDestroy(ctx, "{m:q:q:0}:s0", "g").Err(); err != nil {
			t.Fatal(err)
		}
		send("without the group")
	})
}

// TestRefusals: what is refused is not stored; what was on its way is unknown.
func TestRefusals(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	cfg := quick(client(t, server.URL))
	cfg.LaneJobs = 10
	cfg.Flush = 100 * time.Millisecond
	b, err := jobs.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = b.Run(ctx) }()
	if _, err := b.DoEnqueue(context10(t), "q", jobs.Job{Message: text("first")}); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	outcomes := make(chan error, 100)
	send := func() {
		b.Enqueue("q", jobs.Job{Message: text("x")}, func(_ jobs.Receipt, err error) { outcomes <- err })
	}
	send()
	short, end := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer end()
	<-short.Done() // the first is on the wire by now
	if _, err := b.DoEnqueue(short, "q", jobs.Job{Message: text("x")}); !errors.Is(err, jobs.ErrRefused) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("taken back: %v, want ErrRefused", err)
	}
	for range 50 {
		send()
	}
	for range 40 {
		if err := <-outcomes; !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("lane full: %v, want ErrRefused", err)
		}
	}
	cancel() // ten wait, one is on the wire
	server.Resume()
	<-ended
	for range 11 {
		if err := <-outcomes; err != nil && !errors.Is(err, jobs.ErrUnknown) && !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("at the end: %v", err)
		}
	}
	b.Enqueue("q", jobs.Job{Message: text("x")}, func(_ jobs.Receipt, err error) { outcomes <- err })
	if err := <-outcomes; !errors.Is(err, jobs.ErrRefused) {
		t.Errorf("closed: %v, want ErrRefused", err)
	}
}

// TestUnknown: a call whose context ends while its batch is on the wire does not know.
func TestUnknown(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	b := start(t, quick(client(t, server.URL)))
	ctx := context10(t)
	if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Message: text("first")}); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	short, end := context.WithTimeout(ctx, 100*time.Millisecond)
	defer end()
	r, err := b.DoEnqueue(short, "q", jobs.Job{Once: "1", Message: text("x")})
	if !errors.Is(err, jobs.ErrUnknown) || r.ID == "" {
		t.Errorf("got %+v, %v, want ErrUnknown and an id", r, err)
	}
	server.Resume()
	again, err := b.DoEnqueue(ctx, "q", jobs.Job{Once: "1", Message: text("x")})
	if err != nil || !again.Duplicate || again.ID != r.ID {
		t.Errorf("it was stored after all: got %+v, %v, want a duplicate of %s", again, err, r.ID)
	}
}

func TestFullQueueRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		cfg := quick(client(t, url))
		cfg.MaxLen = 5
		b := start(t, cfg)
		ctx := context10(t)
		for i := range 5 {
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Key: "k", Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Message: text("x")}); !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("got %v, want ErrRefused", err)
		}
		var got record
		work(t, b, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: &got}}})
		eventually(t, "there is room again", func() bool {
			_, err := b.DoEnqueue(ctx, "q", jobs.Job{Message: text("y")})
			return err == nil
		})
	})
}

// TestOutOfMemory: Redis without memory refuses jobs, and those it has are still settled.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	url := testredis.Start(t).URL
	b := start(t, quick(client(t, url)))
	ctx, c := context10(t), client(t, url)
	for i := range 20 {
		if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Key: "k", Message: text(name(i))}); err != nil {
			t.Fatal(err)
		}
	}
	var got record
	failed := make(map[string]bool)
	work(t, b, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(func(_ context.Context, m *message.Message) error {
		if m.Text == name(10) && !failed[m.Text] { // one at a time: one key
			failed[m.Text] = true
			return errors.New("for the test")
		}
		got.add(m.Text)
		return nil
	})}}})
	if err := c.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Message: text("x")}); !errors.Is(err, jobs.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
	if err := c.ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are done", func() bool { return got.distinct() >= 20 })
	eventually(t, "nothing is left", func() bool {
		return c.XLen(ctx, "{m:q:q:0}:s0").Val() == 0 && c.Exists(ctx, "{m:q:q:0}:k:k").Val() == 0
	})
}
