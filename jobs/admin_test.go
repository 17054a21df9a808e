package jobs_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/redis/go-redis/v9"
)

// TestQueuesTellsAndTraceFinds puts a job into every state.
func TestQueuesTellsAndTraceFinds(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		busy := make(chan struct{})
		b, w, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Concurrency: 1, Prefetch: -1, Handler: message.HandlerFunc(
			func(ctx context.Context, m *message.Message) error {
				switch m.Text {
				case "dead":
					return jobs.Permanent(errors.New("broken"))
				case "retry":
					return jobs.RetryAfter(errors.New("for the test"), time.Hour)
				case "active":
					close(busy)
					<-ctx.Done()
				}
				return nil
			})}}})
		ctx, c := context10(t), client(t, url)
		add := func(id string, j jobs.Job) {
			t.Helper()
			j.ID, j.Message = id, text(id)
			if _, err := b.DoEnqueue(ctx, "q", j); err != nil {
				t.Fatal(err)
			}
		}
		add("done", jobs.Job{ResultFor: time.Minute})
		add("dead", jobs.Job{})
		add("retry", jobs.Job{})
		if _, err := b.Wait(ctx, "q", "done"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is dead, the other is put aside", func() bool {
			return c.XLen(ctx, "{m:q:q:0}:dead").Val() == 1 && c.ZCard(ctx, "{m:q:q:0}:d").Val() == 1
		})
		add("delayed", jobs.Job{At: time.Now().Add(time.Hour)})
		add("active", jobs.Job{Key: "k"})
		<-busy
		add("blocked", jobs.Job{Key: "k"})
		add("waiting", jobs.Job{Priority: 2})
		if _, err := b.DoEnqueue(ctx, "nobody", jobs.Job{Message: text("x")}); err != nil {
			t.Fatal(err)
		}
		if err := b.Pause(ctx, "nobody"); err != nil {
			t.Fatal(err)
		}
		var list []jobs.QueueStats
		eventually(t, "both queues are known", func() (ok bool) {
			var err error
			if list, err = b.Queues(ctx); err != nil {
				t.Fatal(err)
			}
			return len(list) == 2
		})
		q, nobody := list[1], list[0]
		if q.Name != "q" || q.Workers != 1 || q.Waiting != 1 || q.Active != 1 || q.Blocked != 1 || q.Aside != 2 || q.Dead != 1 || q.Paused || q.Oldest <= 0 {
			t.Errorf("%+v", q)
		}
		if nobody.Workers != 0 || nobody.Waiting != 1 || !nobody.Paused {
			t.Errorf("%+v", nobody)
		}
		for id, state := range map[string]string{
			"done": "ended done", "dead": "dead", "retry": "retry", "delayed": "delayed", "active": "active", "blocked": "blocked", "waiting": "waiting",
		} {
			found, err := b.Trace(ctx, "q", id)
			if err != nil || len(found) != 1 || found[0].State != state {
				t.Errorf("%s: %+v, %v", id, found, err)
				continue
			}
			if id == "active" && (found[0].Worker != w.Incarnation() || found[0].Deliveries != 1) {
				t.Errorf("active: %+v", found[0])
			}
		}
		if found, err := b.Trace(ctx, "q", "unknown"); err != nil || len(found) != 0 {
			t.Errorf("unknown: %+v, %v", found, err)
		}
	})
}

func TestDeadLettersRetryAndPurge(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var works atomic.Bool
		var got record
		b, _, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
			func(ctx context.Context, m *message.Message) error {
				if !works.Load() {
					return jobs.Permanent(errors.New("broken"))
				}
				if info, _ := jobs.InfoFrom(ctx); info.Attempt != 1 {
					t.Errorf("attempt %d", info.Attempt)
				}
				return got.Handle(ctx, m)
			})}}})
		ctx := context10(t)
		const n = 130
		for i := range n {
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: name(i), Key: name(i % 3), Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		var list []jobs.DeadLetter
		eventually(t, "all are dead", func() bool {
			var err error
			if list, err = b.DeadLetters(ctx, "q", 1000); err != nil {
				t.Fatal(err)
			}
			return len(list) == n
		})
		if l := list[0]; l.Reason != "permanent" || l.Error != "broken" || l.Job.Message == nil || l.At.IsZero() {
			t.Errorf("%+v", l)
		}
		works.Store(true)
		if n, err := b.PurgeDead(ctx, "q", list[0].Place, list[1].Place); n != 2 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
		if n, err := b.RetryDead(ctx, "q", list[0].Place, list[2].Place); n != 1 || err != nil {
			t.Errorf("retried %d, %v; one of them was purged", n, err)
		}
		if retried, err := b.RetryDead(ctx, "q"); retried != n-3 || err != nil {
			t.Errorf("retried %d, %v", retried, err)
		}
		eventually(t, "they work now", func() bool { return got.distinct() == n-2 })
		if list, err := b.DeadLetters(ctx, "q", 10); len(list) != 0 || err != nil {
			t.Errorf("left: %v, %v", list, err)
		}
		if n, err := b.PurgeDead(ctx, ""); n != 0 || err != nil {
			t.Errorf("inboxes: %d, %v", n, err)
		}
		for _, place := range []string{"", "x", "0/", "7/1-1", "-1/1-1"} {
			if _, err := b.RetryDead(ctx, "q", place); err == nil {
				t.Errorf("the place %q was accepted", place)
			}
		}
		if _, err := b.RetryDead(ctx, ""); err == nil {
			t.Error("dead letters of inboxes were retried")
		}
	})
}

// TestTidy: what was broken by hand is mended.
func TestTidy(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		ctx, c := context10(t), client(t, url)
		cfg := quick(client(t, url))
		cfg.Lease = 100 * time.Millisecond
		b := start(t, cfg)
		for _, s := range []string{"lost", "next"} {
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: s, Key: "k", Message: text(s)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: "timeless", At: time.Now().Add(time.Hour), Message: text("timeless")}); err != nil {
			t.Fatal(err)
		}
		tag := "{m:q:q:0}"
		c.Del(ctx, tag+":s0", tag+":d")
		c.HSet(ctx, tag+":f", "0:1-1", "X")
		c.HSet(ctx, tag+":fc", "*", 1, "X", 1)
		for _, stream := range []string{"s0", "s1", "s2", "s3"} {
			c.XGroupCreateMkStream(ctx, tag+":"+stream, "g", "0")
		}
		junk := c.XAdd(ctx, &redis.XAddArgs{Stream: tag + ":s0", Values: []any{"e", "x"}}).Val()
		c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "killed", Streams: []string{tag + ":s0", ">"}, Block: -1})
		c.XAck(ctx, tag+":s0", "g", junk)
		c.XDel(ctx, tag+":s0", junk)
		var total jobs.Tidied
		eventually(t, "all is mended", func() bool {
			n, err := b.Tidy(ctx)
			if err != nil {
				t.Fatal(err)
			}
			total.Consumers += n.Consumers
			total.Mailboxes += n.Mailboxes
			total.Aside += n.Aside
			return total == jobs.Tidied{Consumers: 1, Mailboxes: 1, Aside: 2}
		})
		var got record
		agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: &got}}})
		eventually(t, "the others go on", func() bool { return got.distinct() == 2 })
		if counts := c.HGetAll(ctx, tag+":fc").Val(); counts["*"] != "0" || counts["X"] != "0" {
			t.Errorf("counts %v", counts)
		}
		if n, err := b.Tidy(ctx); err != nil || n.Mailboxes != 0 || n.Aside != 0 {
			t.Errorf("again: %+v, %v", n, err)
		}
	})
}

func TestMove(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		b := start(t, quick(client(t, url)))
		ctx := context10(t)
		const n = 600
		for i := range n {
			if _, err := b.DoEnqueue(ctx, "from", jobs.Job{Key: name(i % 7), Priority: i % 7 % 4, Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		if moved, err := b.Move(ctx, "from", "to"); moved != n || err != nil {
			t.Errorf("moved %d, %v", moved, err)
		}
		var got record
		agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"to": {Handler: &got}}})
		eventually(t, "all", func() bool { return len(got.all()) >= n })
		last := make(map[string]string)
		for _, s := range got.all() {
			i, _ := strconv.Atoi(s)
			if key := name(i % 7); s < last[key] {
				t.Errorf("%s came after %s", s, last[key])
			} else {
				last[key] = s
			}
		}
		if moved, err := b.Move(ctx, "from", "to"); moved != 0 || err != nil {
			t.Errorf("again: %d, %v", moved, err)
		}
		if _, err := b.Move(ctx, "to", "to"); err == nil {
			t.Error("moved to itself")
		}
	})
}
