package jobs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestNothingWaitsBehindASlowHandler: while any of the handlers is free, what was read ahead is handled.
func TestNothingWaitsBehindASlowHandler(t *testing.T) {
	t.Parallel()
	const handlers, all = 8, 2000
	free := make(chan struct{})
	var quick, slow atomic.Int32
	b, _, _ := agent(t, testredis.Start(t).URL, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {
		Concurrency: handlers, Handler: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			if m.Text == "slow" {
				slow.Add(1)
				select {
				case <-free:
				case <-ctx.Done():
				}
				return nil
			}
			quick.Add(1)
			return nil
		})}}})
	for i := range all {
		text := text("quick")
		if i%(all/handlers) == all/handlers/2 && i > all/handlers { // all but one
			text.Text = "slow"
		}
		b.Enqueue("q", jobs.Job{Message: text}, func(_ jobs.Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the quick ones", func() bool { return quick.Load() == all-(handlers-1) && slow.Load() == handlers-1 })
	close(free)
}

// TestHandlerContext: it does what a context of the standard library does, whenever it is asked.
func TestHandlerContext(t *testing.T) {
	t.Parallel()
	type mine struct{}
	left := make(chan context.Context, 1)
	failed := make(chan string, 20)
	b, _, _ := agent(t, testredis.Start(t).URL, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
		func(ctx context.Context, m *message.Message) error {
			check := func(ok bool, what string) {
				if !ok {
					failed <- what
				}
			}
			switch m.Text {
			case "lazy":
				left <- ctx
			case "cancelled":
				check(ctx.Err() == nil && context.Cause(ctx) == nil, "it has ended before")
				child, cancel := context.WithTimeout(context.WithValue(ctx, mine{}, 1), time.Hour)
				defer cancel()
				info, ok := jobs.InfoFrom(child)
				check(ok && info.ID == "cancelled" && info.Queue == "q" && info.Attempt == 1, "a child does not know the job")
				check(jobs.TxFrom(child) == jobs.TxFrom(ctx) && jobs.TxFrom(ctx) != nil, "two Tx")
				told := make(chan struct{})
				context.AfterFunc(ctx, func() { close(told) })
				left <- ctx
				<-child.Done()
				<-told
				check(errors.Is(ctx.Err(), context.Canceled) && errors.Is(child.Err(), context.Canceled), "Err")
				check(context.Cause(ctx) != nil && !errors.Is(context.Cause(ctx), context.Canceled), "the cause")
				check(errors.Is(context.Cause(child), context.Cause(ctx)), "the cause of a child")
				close(failed)
				return context.Cause(ctx)
			}
			return nil
		})}}})
	ctx := context10(t)
	if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: "lazy", Message: text("lazy")}); err != nil {
		t.Fatal(err)
	}
	after := <-left
	select { // it is asked for the first time, perhaps when the job has ended
	case <-after.Done():
	case <-ctx.Done():
		t.Fatal("the context of a handler that has returned does not end")
	}
	if !errors.Is(after.Err(), context.Canceled) || !errors.Is(context.Cause(after), context.Canceled) {
		t.Errorf("after the end: %v, %v", after.Err(), context.Cause(after))
	}
	if _, err := b.DoEnqueue(ctx, "q", jobs.Job{ID: "cancelled", Message: text("cancelled")}); err != nil {
		t.Fatal(err)
	}
	<-left
	if _, err := b.Cancel(ctx, "q", "cancelled"); err != nil {
		t.Fatal(err)
	}
	for what := range failed {
		t.Error(what)
	}
}
