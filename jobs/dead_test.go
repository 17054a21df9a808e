package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

func TestFailuresEndAsDeadLetters(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var attempts record
		handler := message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			attempts.add(m.Text)
			switch info, _ := jobs.InfoFrom(ctx); {
			case m.Text == "permanent":
				return jobs.Permanent(errors.New("never"))
			case m.Text == "fails":
				return errors.New("again")
			case m.Text == "panics":
				panic("for the test")
			case m.Text == "later" && info.Attempt < 3:
				return jobs.RetryAfter(errors.New("soon"), time.Millisecond)
			case m.Text == "pending":
				p := new(message.Pending)
				go p.Done(message.Result{}, jobs.Permanent(errors.New("in the end")))
				return p
			}
			return nil
		})
		cfg := quick(client(t, url))
		cfg.MaxAttempts = 3
		b := start(t, cfg)
		work(t, b, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: handler}}})
		ctx, c := context10(t), client(t, url)
		kinds := map[string]struct {
			attempts int
			reason   string
		}{
			"permanent": {1, "permanent"}, "fails": {3, "attempts"}, "panics": {3, "attempts"}, "later": {3, ""}, "pending": {1, "permanent"}, "fine": {1, ""},
		}
		for kind := range kinds {
			for _, s := range []string{kind, "after " + kind} {
				if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: s, Key: kind, Message: text(s)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		eventually(t, "every key goes on", func() bool { return attempts.distinct() == 2*len(kinds) })
		reasons := make(map[string]string)
		for _, l := range c.XRange(ctx, "{m:q:q:0}:dead", "-", "+").Val() {
			reasons[l.Values["id"].(string)] = l.Values["reason"].(string)
		}
		attempts.mu.Lock()
		defer attempts.mu.Unlock()
		for kind, want := range kinds {
			if got := attempts.count[kind]; got != want.attempts || reasons[kind] != want.reason {
				t.Errorf("%s: %d attempts, dead letter %q; want %d, %q", kind, got, reasons[kind], want.attempts, want.reason)
			}
		}
	})
}

func TestExpiredJobsAreDropped(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		b := start(t, quick(client(t, url)))
		ctx := context10(t)
		soon := time.Now().Add(100 * time.Millisecond)
		for _, j := range []jobs.Job{{Key: "k", Deadline: soon, Message: text("expired")}, {Key: "k", Message: text("next")}} {
			if _, err := b.DoEnqueue(ctx, "q", j); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "it expires", func() bool { return time.Now().After(soon) })
		var got record
		work(t, b, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: &got}}})
		eventually(t, "the next one", func() bool { return got.distinct() > 0 })
		if all := got.all(); all[0] != "next" {
			t.Errorf("handled %v", all)
		}
		if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Deadline: soon, Message: text("x")}); !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("enqueueing an expired job: %v, want ErrRefused", err)
		}
	})
}

// TestInboxRetries: a failed job of the inbox comes again, and is set aside in the end.
func TestInboxRetries(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var attempts record
		cfg := quick(client(t, url))
		cfg.MaxAttempts = 3
		b := start(t, cfg)
		w, _ := work(t, b, jobs.WorkerConfig{Inbox: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			attempts.add(m.Text)
			if info, _ := jobs.InfoFrom(ctx); m.Text == "fails" || info.Attempt < 2 {
				return errors.New("for the test")
			}
			return nil
		})})
		ctx, c := context10(t), client(t, url)
		for _, s := range []string{"fails", "works"} {
			if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{ID: s, Message: text(s)}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the inbox is empty", func() bool { return c.XLen(ctx, "{m:a:"+w.Incarnation()+"}:s0").Val() == 0 })
		attempts.mu.Lock()
		defer attempts.mu.Unlock()
		if attempts.count["fails"] != 3 || attempts.count["works"] != 2 {
			t.Errorf("attempts %v", attempts.count)
		}
		if letters := c.XRange(ctx, "{m:a}:dead", "-", "+").Val(); len(letters) != 1 || letters[0].Values["id"] != "fails" {
			t.Errorf("dead letters %v", letters)
		}
	})
}

// TestRetryEndsWhileJobsFailAgain: what fails at once after its retry waits for the next one.
func TestRetryEndsWhileJobsFailAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var attempts record
		b := start(t, quick(client(t, url)))
		work(t, b, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(func(_ context.Context, m *message.Message) error {
			attempts.add(m.Text)
			return jobs.Permanent(errors.New("never"))
		})}}})
		ctx, c := context10(t), client(t, url)
		if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: "poison", Message: text("poison")}); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			eventually(t, "it is dead", func() bool { return c.XLen(ctx, "{m:q:q:0}:dead").Val() == 1 })
			if n, err := b.RetryDead(ctx, "q"); err != nil || n != 1 {
				t.Fatalf("retried %d, %v; want 1", n, err)
			}
		}
	})
}
