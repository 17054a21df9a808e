package jobs_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

func TestEnqueueIsHandled(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		infos := make(chan jobs.Info, 1)
		b, _, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{
			"chat": {Handler: &got, Concurrency: 8},
			"info": {Handler: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
				info, _ := jobs.InfoFrom(ctx)
				infos <- info
				return nil
			})},
		}})
		ctx := context10(t)
		const n = 500
		confirmed := make(chan error, n)
		for i := range n {
			b.Enqueue("chat", jobs.Job{Message: text(name(i))}, func(_ jobs.Receipt, err error) { confirmed <- err })
		}
		for range n {
			if err := <-confirmed; err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all jobs handled", func() bool { return got.distinct() == n })
		if all := got.all(); len(all) != n {
			t.Errorf("%d handler calls for %d jobs", len(all), n)
		}
		r, err := b.DoEnqueue(ctx, "info", jobs.Job{Key: "k", Message: text("x")})
		if err != nil {
			t.Fatal(err)
		}
		if info := <-infos; info.ID != r.ID || info.Attempt != 1 || info.Queue != "info" || info.Key != "k" || info.Created.IsZero() {
			t.Errorf("info %+v, receipt %+v", info, r)
		}
		c := client(t, url)
		eventually(t, "the streams are empty", func() bool {
			return c.XLen(ctx, "{m:q:chat:0}:s0").Val() == 0 && c.XLen(ctx, "{m:q:info:0}:s0").Val() == 0
		})
		if n := c.Exists(ctx, "{m:q:info:0}:k:k").Val(); n != 0 {
			t.Error("the mailbox of a done job is left")
		}
	})
}

func TestSendToReachesOneInbox(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var first, second record
		b, w1, _ := agent(t, url, jobs.WorkerConfig{Name: "one", Inbox: &first})
		_, w2, _ := agent(t, url, jobs.WorkerConfig{Name: "two", Inbox: &second})
		ctx := context10(t)
		const n = 300
		var want []string
		for i := range n {
			want = append(want, name(i))
			b.SendTo(w2.Incarnation(), jobs.Job{Message: text(name(i))}, func(_ jobs.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if _, err := b.DoSendTo(ctx, w1.Incarnation(), jobs.Job{Message: text("own")}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all arrived", func() bool { return second.distinct() == n && first.distinct() == 1 })
		if got := second.all(); !slices.Equal(got, want) {
			t.Errorf("the order is lost: %v", got)
		}
		if _, err := b.DoSendTo(ctx, jobs.NewIncarnation(), jobs.Job{Message: text("x")}); !errors.Is(err, jobs.ErrNoAgent) {
			t.Errorf("an unknown agent: got %v, want ErrNoAgent", err)
		}
		agents, err := b.Agents(ctx)
		if err != nil || len(agents) != 2 || agents[0].Name != "one" || agents[1].Incarnation != w2.Incarnation() {
			t.Errorf("agents %+v, %v", agents, err)
		}
		eventually(t, "the list knows both", func() bool { return b.Alive(w1.Incarnation()) && b.Alive(w2.Incarnation()) })
		c := client(t, url)
		eventually(t, "the inbox is empty", func() bool { return c.XLen(ctx, "{m:a:"+w2.Incarnation()+"}:s0").Val() == 0 })
	})
}

func TestBroadcastReachesAll(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got [3]record
		var b *jobs.Broker
		for i := range got {
			b, _, _ = agent(t, url, jobs.WorkerConfig{Broadcast: &got[i]})
		}
		const n = 200
		var want []string
		for i := range n {
			want = append(want, name(i))
			b.Broadcast(jobs.Job{Message: text(name(i))}, func(_ jobs.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		for i := range got {
			eventually(t, "all arrived", func() bool { return len(got[i].all()) >= n })
			if all := got[i].all(); !slices.Equal(all, want) {
				t.Errorf("agent %d: %v", i, all)
			}
		}
	})
}
