package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestVolatile: volatile jobs arrive in order; for an agent that is away, and while Redis is, they are dropped.
func TestVolatile(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		ctx, c := context10(t), client(t, url)
		var got, bodies record
		b := start(t, quick(client(t, url)))
		_, w, stop := agent(t, url, jobs.WorkerConfig{Volatile: &got})
		agent(t, url, jobs.WorkerConfig{Orphan: func(_ context.Context, _ string, j jobs.Job) error { bodies.add(j.Message.Text); return nil }})
		var want []string
		for i := range 1000 {
			want = append(want, name(i))
			b.SendTo(w.Incarnation(), jobs.Job{Volatile: true, Message: text(name(i))}, func(_ jobs.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		eventually(t, "all arrive", func() bool { return len(got.all()) >= len(want) })
		if !slices.Equal(got.all(), want) {
			t.Errorf("%d arrived, or in another order", len(got.all()))
		}
		tag := "{m:a:" + w.Incarnation() + "}"
		eventually(t, "nothing is kept", func() bool { return c.XLen(ctx, tag+":v").Val() == 0 })
		stop()
		eventually(t, "the agent is away", func() bool {
			_, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Volatile: true, Message: text("late")})
			return errors.Is(err, jobs.ErrNoAgent)
		})
		eventually(t, "the inbox is gone", func() bool { return c.Exists(ctx, tag+":v", tag+":o").Val() == 0 })
		if len(bodies.all()) > 0 || len(got.all()) != len(want) {
			t.Errorf("orphans %q", bodies.all())
		}
		for kind, err := range map[string]error{
			"queue":     second(b.DoEnqueue(ctx, "work", jobs.Job{Volatile: true, Message: text("x")})),
			"broadcast": second(b.DoBroadcast(ctx, jobs.Job{Volatile: true, Message: text("x")})),
			"once":      second(b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Volatile: true, Once: "1", Message: text("x")})),
		} {
			if !errors.Is(err, jobs.ErrRefused) {
				t.Errorf("%s: %v, want ErrRefused", kind, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestVolatileIsNotRetried: what cannot be sent now is dropped, and its sender told.
func TestVolatileIsNotRetried(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	var got record
	b := start(t, quick(client(t, server.URL)))
	_, w, _ := agent(t, server.URL, jobs.WorkerConfig{Volatile: &got})
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if _, err := b.DoSendTo(ctx, w.Incarnation(), jobs.Job{Volatile: true, Message: text("lost")}); !errors.Is(err, jobs.ErrRefused) && !errors.Is(err, jobs.ErrUnknown) || ctx.Err() != nil {
		t.Errorf("without Redis: %v", err)
	}
	server.Restart()
	eventually(t, "it goes on", func() bool {
		_, err := b.DoSendTo(t.Context(), w.Incarnation(), jobs.Job{Volatile: true, Message: text("later")})
		return err == nil
	})
	eventually(t, "it arrives", func() bool { return len(got.all()) > 0 })
	if got.all()[0] != "later" {
		t.Errorf("got %q", got.all())
	}
}

// TestDrainIsPrompt: an idle worker does not wait for its blocked reads to end by themselves.
func TestDrainIsPrompt(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		cfg := quick(client(t, url))
		cfg.Block, cfg.Lease = time.Second, time.Minute
		var got, left record
		b := start(t, quick(client(t, url)))
		var took []time.Duration
		for i := range 5 {
			cfg.Incarnation = fmt.Sprint("drained-", i)
			w, err := start(t, cfg).Join(t.Context(), jobs.WorkerConfig{
				Queues: map[string]jobs.QueueConfig{"work": {Handler: &got}}, Inbox: &got, Volatile: &got, Broadcast: message.HandlerFunc(func(context.Context, *message.Message) error { return nil }),
			})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- w.Run(context.WithoutCancel(t.Context())) }() // joined below
			id := name(i)
			if _, err := b.DoEnqueue(context10(t), "work", jobs.Job{Message: text(id)}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it works", func() bool { return slices.Contains(got.all(), id) })
			for j := range 20 { // on their way while the worker drains: none may be stranded
				b.Enqueue("work", jobs.Job{Message: text(fmt.Sprint("late ", i, " ", j))}, func(jobs.Receipt, error) {})
			}
			began := time.Now()
			if err := w.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			took = append(took, time.Since(began))
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		slices.Sort(took)
		t.Logf("drains took %v", took)
		if took[0] >= cfg.Block/2 {
			t.Errorf("the fastest of five drains took %v: blocked reads are waited for", took[0])
		}
		agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Handler: &left}}})
		eventually(t, "nothing is stranded", func() bool { return got.distinct()+left.distinct() >= 105 })
	})
}
