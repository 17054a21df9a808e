package jobs_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestDelayedJobs: a job is not handled before its time, and a keyed one then waits for its turn.
func TestDelayedJobs(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		type call struct {
			text string
			at   time.Time
		}
		calls := make(chan call, 100)
		b, w, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
			func(_ context.Context, m *message.Message) error {
				calls <- call{m.Text, time.Now()}
				return nil
			})}}})
		ctx, due := context10(t), time.Now().Add(400*time.Millisecond)
		for _, j := range []jobs.Job{
			{ID: "1", At: due, Message: text("plain")},
			{ID: "2", At: due, Key: "k", Message: text("keyed")},
			{At: time.Now().Add(-time.Hour), Message: text("past")},
			{At: due, Deadline: due.Add(-time.Millisecond), Message: text("expired")},
		} {
			if _, err := b.DoEnqueue(ctx, "q", j); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: "1", At: due, Message: text("again")}); err != nil || !r.Duplicate {
			t.Errorf("delayed twice: %+v, %v; want a duplicate", r, err)
		}
		if c := <-calls; c.text != "past" {
			t.Errorf("first %q, want the one whose time has passed", c.text)
		}
		for range 2 {
			if c := <-calls; c.at.Before(due.Add(-5 * time.Millisecond)) {
				t.Errorf("%s came %v too early", c.text, due.Sub(c.at))
			}
		}
		c := client(t, url)
		eventually(t, "nothing is left", func() bool {
			return c.Exists(ctx, "{m:q:q:0}:d", "{m:q:q:0}:j", "{m:q:q:0}:k:k").Val() == 0 && c.XLen(ctx, "{m:q:q:0}:s0").Val() == 0
		})
		if len(calls) > 0 {
			t.Errorf("also handled: %v", <-calls)
		}
		if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{At: due, Message: text("x")}); !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("a delayed job for an inbox: %v, want ErrRefused", err)
		}
	})
}

// TestSnooze: it is no attempt, and the key waits.
func TestSnooze(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		handler := message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			got.add(m.Text)
			got.mu.Lock()
			calls := got.count[m.Text]
			got.mu.Unlock()
			if info, _ := jobs.InfoFrom(ctx); info.Attempt != 1 {
				t.Errorf("call %d is attempt %d", calls, info.Attempt)
			}
			if m.Text != "next" && calls < 5 {
				return jobs.Snooze(time.Millisecond)
			}
			return nil
		})
		cfg := quick(client(t, url))
		cfg.MaxAttempts = 2
		b := start(t, cfg)
		w, _ := work(t, b, jobs.WorkerConfig{Inbox: handler, Queues: map[string]jobs.QueueConfig{"q": {Handler: handler}}})
		ctx := context10(t)
		for _, s := range []string{"sleepy", "next"} {
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Key: "k", Message: text(s)}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the next one", func() bool { return got.distinct() == 2 })
		if want := []string{"sleepy", "sleepy", "sleepy", "sleepy", "sleepy", "next"}; !slices.Equal(got.all(), want) {
			t.Errorf("calls %v, want %v", got.all(), want)
		}
		if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: text("inbox")}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the inbox", func() bool { return len(got.all()) == 11 })
	})
}

// TestCancel: a job is cancelled wherever it is, and its key goes on.
func TestCancel(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		running := make(chan struct{})
		b, _, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
			func(ctx context.Context, m *message.Message) error {
				switch m.Text {
				case "running":
					close(running)
					<-ctx.Done()
					return context.Cause(ctx)
				case "retry":
					return jobs.RetryAfter(errors.New("for the test"), time.Hour)
				}
				got.add(m.Text)
				return nil
			})}}})
		ctx := context10(t)
		add := func(id, key string, at time.Time) {
			t.Helper()
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: id, Key: key, At: at, Message: text(id)}); err != nil {
				t.Fatal(err)
			}
		}
		cancel := func(id string) bool {
			t.Helper()
			gone, err := b.Cancel(ctx, "q", id)
			if err != nil {
				t.Fatal(err)
			}
			return gone
		}
		add("delayed", "a", time.Now().Add(time.Hour))
		add("retry", "b", time.Time{})
		add("after the retry", "b", time.Time{})
		add("running", "c", time.Time{})
		add("blocked", "c", time.Time{})
		add("after the blocked", "c", time.Time{})
		<-running
		if !cancel("delayed") || cancel("delayed") {
			t.Error("a delayed job is gone when Cancel returns")
		}
		eventually(t, "the retry is taken out", func() bool { return cancel("retry") })
		if cancel("blocked") || cancel("running") {
			t.Error("what runs or is blocked is marked")
		}
		eventually(t, "the keys go on", func() bool { return got.distinct() == 2 })
		want := []string{"after the blocked", "after the retry"}
		if all := slices.Sorted(slices.Values(got.all())); !slices.Equal(all, want) {
			t.Errorf("handled %v, want %v", all, want)
		}
	})
}
