package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	c := new(redisx.Client)
	for name, cfg := range map[string]jobs.Config{
		"no redis": {}, "prefix": {Redis: c, Prefix: "{m}"}, "partitions": {Redis: c, Partitions: -1}, "batch": {Redis: c, BatchJobs: 257},
		"block": {Redis: c, Block: time.Hour}, "incarnation": {Redis: c, Incarnation: "a b"},
	} {
		if _, err := jobs.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRegistryFollowsTheAgents(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		b := start(t, quick(client(t, url)))
		if b.HasWorkers("q") {
			t.Error("a queue without workers has some")
		}
		_, w, stop := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: new(record)}}})
		eventually(t, "it is seen", func() bool { return b.HasWorkers("q") && b.Alive(w.Incarnation()) })
		stop()
		eventually(t, "it is gone", func() bool { return !b.HasWorkers("q") && !b.Alive(w.Incarnation()) })
	})
}

// TestLanesEnd: destinations leave nothing behind in the broker.
func TestLanesEnd(t *testing.T) {
	t.Parallel()
	b := start(t, quick(client(t, embedded(t))))
	var told atomic.Int64
	for range 300 {
		b.SendTo(jobs.NewIncarnation(), jobs.Job{Message: text("x")}, func(_ jobs.Receipt, err error) {
			if !errors.Is(err, jobs.ErrNoAgent) {
				t.Errorf("got %v, want ErrNoAgent", err)
			}
			told.Add(1)
		})
	}
	eventually(t, "the lanes end", func() bool { return told.Load() == 300 && b.Lanes() == 0 })
}

// TestInboxPending: the next job comes while work goes on, and nothing is removed before its work ends.
func TestInboxPending(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		pending := make(chan *message.Pending, 10)
		b, w, _ := agent(t, url, jobs.WorkerConfig{Inbox: message.HandlerFunc(func(context.Context, *message.Message) error {
			p := new(message.Pending)
			pending <- p
			return p
		})})
		ctx, c := context10(t), client(t, url)
		for i := range 3 {
			if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		stream := "{m:a:" + w.Incarnation() + "}:s0"
		all := []*message.Pending{<-pending, <-pending, <-pending}
		if n := c.XLen(ctx, stream).Val(); n != 3 {
			t.Errorf("%d jobs in the inbox, want 3", n)
		}
		all[1].Done(message.Result{}, nil)
		eventually(t, "one is removed", func() bool { return c.XLen(ctx, stream).Val() == 2 })
		all[0].Done(message.Result{}, errors.New("again"))
		again := <-pending
		again.Done(message.Result{}, nil)
		all[2].Done(message.Result{}, nil)
		eventually(t, "all are removed", func() bool { return c.XLen(ctx, stream).Val() == 0 })
	})
}

// TestGapIsTold: an agent that fell behind what is kept is told so, and goes on.
func TestGapIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		cfg := quick(client(t, url))
		cfg.BroadcastKeep = 50
		b := start(t, cfg)
		release, gaps := make(chan struct{}), atomic.Int64{}
		var got record
		work(t, b, jobs.WorkerConfig{
			Broadcast: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
				<-release
				return got.Handle(ctx, m)
			}),
			Gap: func(context.Context) { gaps.Add(1) },
		})
		ctx := context10(t)
		for i := range 1500 {
			if i == 1499 {
				if _, err := b.DoBroadcast(ctx, jobs.Job{Message: text("last")}); err != nil {
					t.Fatal(err)
				}
				break
			}
			b.Broadcast(jobs.Job{Message: text(name(i))}, func(jobs.Receipt, error) {})
		}
		close(release)
		eventually(t, "the last one", func() bool { return slices.Contains(got.all(), "last") })
		if gaps.Load() == 0 || !slices.IsSorted(got.all()[:got.distinct()-1]) {
			t.Errorf("%d gaps told, %d broadcasts", gaps.Load(), got.distinct())
		}
	})
}

// TestReaperDiesWhileReaping: the next one begins where the first stood, and the first cannot go on.
func TestReaperDiesWhileReaping(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		b := start(t, quick(client(t, url)))
		w, stop := work(t, start(t, quick(client(t, url))), jobs.WorkerConfig{}) // reads no inbox, reaps nobody
		ctx := context10(t)
		const n = 30
		for i := range n {
			if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		p := newProxy(t, url)
		stuck := make(chan struct{})
		var first, second, died record
		agent(t, p.url(), jobs.WorkerConfig{
			Orphan: func(ctx context.Context, dead string, j jobs.Job) error {
				if dead != w.Incarnation() {
					return nil
				}
				first.add(j.Message.Text)
				if j.Message.Text == name(10) {
					p.hold()
					close(stuck)
				}
				return nil
			},
			Died: func(_ context.Context, dead string) error {
				if dead == w.Incarnation() {
					t.Error("the first reaper finished")
				}
				return nil
			},
		})
		stop()
		<-stuck
		agent(t, url, jobs.WorkerConfig{
			Orphan: func(_ context.Context, dead string, j jobs.Job) error {
				if dead == w.Incarnation() {
					second.add(j.Message.Text)
				}
				return nil
			},
			Died: func(_ context.Context, dead string) error {
				if dead == w.Incarnation() {
					died.add(dead)
				}
				return nil
			},
		})
		eventually(t, "the second finishes", func() bool { return len(died.all()) == 1 })
		p.let()
		if second.distinct() != n { // the first removed none before it stopped
			t.Errorf("the second got %d of %d", second.distinct(), n)
		}
	})
}

// TestHungConnections: every connection falls silent, as after the failover of a server that hangs. One agent
// finds a working one sooner than the other, and does not take it for dead.
func TestHungConnections(t *testing.T) {
	t.Parallel()
	p := newProxy(t, testredis.Start(t).URL)
	var deaths atomic.Int64
	for i := range 2 {
		c := client(t, p.url())
		cfg := quick(c)
		cfg.AgentTTL = time.Second
		work(t, start(t, cfg), jobs.WorkerConfig{
			Orphan:   func(context.Context, string, jobs.Job) error { return nil },
			Rejoined: func(context.Context) { deaths.Add(1) },
		})
		if i == 0 {
			continue
		}
		var asking sync.WaitGroup // many connections that will hang, one after the other
		for range 4 {
			asking.Go(func() { c.BLPop(context.Background(), 200*time.Millisecond, "nothing") })
		}
		asking.Wait()
	}
	p.hang()
	waitFor(9 * time.Second)
	if n := deaths.Load(); n > 0 {
		t.Errorf("%d agents were taken for dead", n)
	}
}
