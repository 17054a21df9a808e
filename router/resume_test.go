package router_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/router"
)

func keep(n int) func(*router.Config) { return func(c *router.Config) { c.Keep = n } }

func TestResume(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a := m.agent("a", keep(10))
		var last message.Result
		for i := range 25 {
			last = a.mustPublish(chat(inbox("bob"), "", "", fmt.Sprint(i)))
		}
		for _, c := range []struct {
			name   string
			resume router.Resume
			from   int64
			gap    bool
		}{
			{"live only", router.Resume{}, 25, false},
			{"all", since(0, ""), 15, false},
			{"known place", since(20, last.Epoch), 20, false},
			{"trimmed", since(5, last.Epoch), 15, true},
			{"another epoch", since(20, "other"), 15, true},
			{"ahead", since(26, last.Epoch), 15, true},
			{"up to date", since(25, last.Epoch), 25, false},
		} {
			bob := m.client(a, "bob")
			standing, _ := bob.login(c.resume, router.Resume{})
			if want := (router.Standing{Seq: 25, Epoch: last.Epoch, Oldest: 16, Gap: c.gap}); standing != want {
				t.Errorf("%s: got %+v, want %+v", c.name, standing, want)
			}
			got := bob.all()
			ascending(t, got, c.from, 25)
			if got[len(got)-1].Type != "Ack" {
				t.Errorf("%s: the Ack came before the replay", c.name)
			}
			a.Detach(bob)
		}

		// Redis loses everything while somebody is connected.
		bob := m.client(a, "bob").bind()
		if err := m.redis.FlushAll(m.ctx).Err(); err != nil {
			t.Fatal(err)
		}
		fresh := a.mustPublish(chat(inbox("bob"), "", "", "new life"))
		if fresh.Epoch == last.Epoch || fresh.Seq != 1 {
			t.Errorf("after the loss: %+v, before %+v", fresh, last)
		}
		bob.waitTexts("new life")
		again := m.client(a, "bob")
		standing, _ := again.login(since(25, last.Epoch), router.Resume{})
		if !standing.Gap || standing.Epoch != fresh.Epoch || standing.Seq != 1 {
			t.Errorf("after the loss a client stands at %+v", standing)
		}
		again.waitTexts("new life")
	})
}

func TestNothingKept(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a, b := m.agent("a", keep(-1)), m.agent("b", keep(-1))
		bob := m.client(b, "bob").bind()
		r := a.mustPublish(chat(inbox("bob"), "", "m", "one"))
		if o := a.publish(chat(inbox("bob"), "", "m", "one")); !o.duplicate || o.Result != r {
			t.Errorf("a repeat gave %+v, want %+v", o, r)
		}
		a.mustPublish(chat(inbox("bob"), "", "", "two"))
		ascending(t, bob.waitTexts("one", "two"), 0, 2)
		later := m.client(b, "bob")
		standing, _ := later.login(since(1, r.Epoch), router.Resume{})
		if !standing.Gap || standing.Seq != 2 || standing.Oldest != 3 {
			t.Errorf("got %+v", standing)
		}
		// A new life, with nothing to read it from.
		if err := m.redis.FlushAll(m.ctx).Err(); err != nil {
			t.Fatal(err)
		}
		if err := b.Rejoin(m.ctx); err != nil {
			t.Fatal(err)
		}
		a.mustPublish(chat(inbox("bob"), "", "", "three"))
		bob.waitTexts("one", "two", "three")
	})
}

func TestKeptForATime(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a := m.agent("a", func(c *router.Config) { c.KeepFor = 100 * time.Millisecond })
		first := a.mustPublish(chat(inbox("bob"), "", "", "old"))
		eventually(t, "the entry is dropped", func() bool {
			bob := m.client(a, "bob")
			defer a.Detach(bob)
			standing, _ := bob.login(since(0, ""), router.Resume{})
			return standing.Oldest == 2 && standing.Seq == 1 && standing.Epoch == first.Epoch
		})
		if r := a.mustPublish(chat(inbox("bob"), "", "", "new")); r.Seq != 2 || r.Epoch != first.Epoch {
			t.Errorf("got %+v after %+v", r, first)
		}
	})
}

// TestSeam logs clients in and out while messages are published: whatever a client collects over its lives
// is every seq once, ascending.
func TestSeam(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		const messages, clients = 1000, 20
		m.shuffle, m.twice, m.drop = 20, 10, 2
		quick := func(c *router.Config) { c.Lease, c.Keep = 300*time.Millisecond, 2*messages }
		a, b := m.agent("a", quick), m.agent("b", quick)
		var published atomic.Int64
		var work sync.WaitGroup
		work.Go(func() {
			for i := range messages {
				to := a
				if i%2 == 1 {
					to = b
				}
				to.mustPublish(chat(inbox("bob"), "", "", fmt.Sprint(i)))
				published.Add(1)
			}
		})
		for i := range clients {
			work.Go(func() {
				var seq int64
				epoch, on := "", a
				for seq < messages {
					if i%3 == 0 && on == a {
						on = b
					} else {
						on = a
					}
					c := m.client(on, "bob")
					if i%4 == 1 {
						c.bind() // a connection that logs in later has been live before
						on.Detach(c)
						c = m.client(on, "bob")
					}
					var standing router.Standing
					standing, _ = c.login(since(seq, epoch), router.Resume{})
					if standing.Gap {
						t.Errorf("a gap at %d: %+v", seq, standing)
					}
					epoch = standing.Epoch
					target := min(messages, seq+int64(50+i))
					c.wait(fmt.Sprint("seq ", target), func(got []envelope) bool {
						return len(got) > 0 && lastSeq(got) >= target
					})
					on.Detach(c)
					got := c.all()
					ascending(t, got, seq, lastSeq(got))
					seq = lastSeq(got)
				}
			})
		}
		work.Wait()
		if published.Load() != messages {
			t.Errorf("published %d", published.Load())
		}
	})
}

// TestLoginOfLiveConnection logs in, live only, a connection that was live before: it misses nothing.
func TestLoginOfLiveConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a, b := m.agent("a"), m.agent("b")
		bob := m.client(b, "bob").bind()
		const n = 600
		var work sync.WaitGroup
		for range n {
			work.Add(1)
			a.Publish(chat(inbox("bob"), "", "", ""), func(message.Result, bool, error) { work.Done() })
		}
		for range 10 {
			bob.login(router.Resume{}, router.Resume{})
		}
		work.Wait()
		ascending(t, bob.wait("all", func(got []envelope) bool { return lastSeq(got) == n }), 0, n)
	})
}

func lastSeq(got []envelope) int64 {
	for i := len(got) - 1; i >= 0; i-- {
		if got[i].Seq > 0 {
			return got[i].Seq
		}
	}
	return 0
}

// TestReplayPaces lets a client with a small queue read a long history.
func TestReplayPaces(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		const n = 450
		a := m.agent("a", func(c *router.Config) { c.ReplayBacklog, c.HoldSize = 8, 4 })
		var last message.Result
		for range n {
			last = a.mustPublish(chat(inbox("bob"), "", "", ""))
		}
		q := &queue{client: m.client(a, "bob"), room: make(chan []byte, 16)}
		var reading sync.WaitGroup
		reading.Go(func() {
			for body := range q.room {
				_ = q.client.Send(body)
			}
		})
		var live sync.WaitGroup
		live.Go(func() { // more live messages than are held back
			for range 100 {
				a.mustPublish(chat(inbox("bob"), "", "", ""))
			}
		})
		err := a.Login(m.ctx, q, "bob", since(0, last.Epoch), router.Resume{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		live.Wait()
		got := q.wait("all", func(got []envelope) bool { return lastSeq(got) == n+100 })
		ascending(t, got, 0, n+100)
		a.Detach(q)
		close(q.room)
		reading.Wait()
	})
}

// queue is a client with a bounded queue.
type queue struct {
	*client
	room chan []byte
}

func (q *queue) Backlog() int { return len(q.room) }
func (q *queue) Send(body []byte) error {
	select {
	case q.room <- body:
		return nil
	default:
		q.t.Error("the queue is full")
		return fmt.Errorf("full")
	}
}
