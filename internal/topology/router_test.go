package topology_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/router"
)

// agent is a router whose deliveries travel through the inboxes of a broker.
type agent struct {
	*router.Router
	broker *jobs.Broker
	redis  *redisx.Client

	stopWorker func() // as if the agent had died: its router's entries stay
}

func (p *place) agent() *agent {
	p.Helper()
	a := &agent{broker: p.broker(), redis: p.client()}
	var err error
	a.Router, err = router.New(router.Config{
		Redis: a.redis, Incarnation: a.broker.Incarnation(), Carrier: carrier{a.broker}, Alive: nil, Prefix: p.prefix,
		Drain: 2 * time.Second, Logger: p.logger(),
	})
	if err != nil {
		p.Fatal(err)
	}
	deliver := message.HandlerFunc(a.Deliver)
	p.background(func(ctx context.Context) {
		if err := a.Run(ctx); err != nil {
			p.Errorf("Run: %v", err)
		}
	})
	_, a.stopWorker = p.work(a.broker, jobs.WorkerConfig{
		Inbox: deliver, Broadcast: deliver,
		Orphan: func(ctx context.Context, _ string, j jobs.Job) error { return a.Reroute(ctx, j.Message) },
		Died:   a.Forget,
	})
	return a
}

type carrier struct{ b *jobs.Broker }

func (c carrier) SendTo(incarnation string, m *message.Message, done func(error)) {
	c.b.SendTo(incarnation, jobs.Job{Message: m}, func(_ jobs.Receipt, err error) {
		if errors.Is(err, jobs.ErrNoAgent) {
			err = fmt.Errorf("%w: %w", router.ErrNoAgent, err)
		}
		done(err)
	})
}

func (c carrier) Broadcast(m *message.Message, done func(error)) {
	c.b.Broadcast(jobs.Job{Message: m}, func(_ jobs.Receipt, err error) { done(err) })
}

// conn is a connection that remembers the texts it was sent, and their seqs.
type conn struct {
	record
	p   *place
	key uint64
	seq atomic.Int64
}

var conns atomic.Uint64

func (p *place) conn() *conn { return &conn{p: p, key: conns.Add(1)} }
func (c *conn) Key() uint64  { return c.key }
func (c *conn) Backlog() int { return 0 }
func (c *conn) waitFor(s ...string) {
	c.p.Helper()
	c.p.eventually(fmt.Sprint(s), func() bool { return len(c.all()) >= len(s) })
	if got := c.all(); fmt.Sprint(got) != fmt.Sprint(s) {
		c.p.Errorf("got %v, want %v", got, s)
	}
}

func (c *conn) Send(body []byte) error {
	var e struct {
		Type string `json:"type"`
		Text string `json:"message"`
		Seq  int64  `json:"seq"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		c.p.Errorf("broken JSON %q: %v", body, err)
	}
	if e.Type == "Chat" {
		c.add(e.Text)
		c.seq.Store(e.Seq)
	}
	return nil
}

func (p *place) bind(a *agent, user string) *conn {
	p.Helper()
	c := p.conn()
	if err := a.Bind(p.Context(), c, user); err != nil {
		p.Fatalf("Bind %s: %v", user, err)
	}
	return c
}

func (p *place) join(a *agent, user, room string) *conn {
	p.Helper()
	c := p.bind(a, user)
	if _, err := a.Join(p.Context(), user, room, c, router.Resume{}, func(router.Standing) {}); err != nil {
		p.Fatalf("Join %s: %v", user, err)
	}
	return c
}

var global = router.History{Kind: router.Global}

func inboxOf(user string) router.History { return router.History{Kind: router.Inbox, ID: user} }

// publish waits until a post is stored and every agent that must deliver it was told.
func (p *place) publish(a *agent, to router.History, author, mark, s string) (result message.Result, duplicate bool) {
	p.Helper()
	body, _ := json.Marshal(map[string]any{"type": "Chat", "message": s})
	told := make(chan error, 1)
	a.Publish(router.Post{To: to, Author: author, Mark: mark, Body: body}, func(r message.Result, d bool, err error) {
		result, duplicate = r, d
		told <- err
	})
	select {
	case err := <-told:
		if err != nil {
			p.Errorf("Publish %s: %v", s, err)
		}
	case <-time.After(deadline):
		p.Fatalf("Publish %s has no outcome", s)
	}
	return result, duplicate
}

func messages(p *place) {
	a, b := p.agent(), p.agent()
	bobA, bobB := p.bind(a, "bob"), p.bind(b, "bob")
	first, _ := p.publish(a, inboxOf("bob"), "", "ann 1", "one")
	if again, duplicate := p.publish(b, inboxOf("bob"), "", "ann 1", "one"); !duplicate || again != first {
		p.Errorf("a repeat: %+v %v, want a duplicate of %+v", again, duplicate, first)
	}
	p.publish(b, inboxOf("bob"), "", "ann 2", "two")
	bobA.waitFor("one", "two")
	bobB.waitFor("one", "two")

	room := router.History{Kind: router.Room, ID: "lobby}{"}
	ann, eve := p.join(a, "ann", room.ID), p.join(b, "eve", room.ID)
	p.publish(a, room, "ann", "", "in the room")
	p.publish(b, room, "eve", "", "you too")
	ann.waitFor("in the room", "you too")
	eve.waitFor("in the room", "you too")
	members, online, err := a.Members(p.Context(), room.ID, "ann")
	if err != nil || len(members) != 2 || len(online) != 2 {
		p.Errorf("members %v, online %v, %v", members, online, err)
	}
	p.publish(a, global, "", "", "hello all")
	bobB.waitFor("one", "two", "hello all")
	eve.waitFor("in the room", "you too", "hello all")
	if err := b.Leave(p.Context(), "eve", room.ID); err != nil {
		p.Error(err)
	}
	p.publish(a, room, "ann", "", "without eve")
	ann.waitFor("in the room", "you too", "hello all", "without eve")
	if got := eve.all(); len(got) != 3 {
		p.Errorf("eve has left and got %v", got)
	}
}

// reroute: while an agent that holds a user's entry is dead, everything comes to him where he is besides, once.
func reroute(p *place) {
	a, b := p.agent(), p.agent()
	p.bind(b, "bob")
	bob := p.bind(a, "bob")
	p.publish(a, inboxOf("bob"), "", "", "0")
	b.stopWorker() // its inbox is emptied by a; its entry at bob's stays
	want := []string{"0"}
	for i := range 50 {
		p.publish(a, inboxOf("bob"), "", "", fmt.Sprint(i+1))
		want = append(want, fmt.Sprint(i+1))
	}
	bob.waitFor(want...)
}

// seam: a client that logs in again and again while messages are published gets each once, ascending.
func seam(p *place) {
	const n = 300
	a, b := p.agent(), p.agent()
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := range n {
			p.publish([]*agent{a, b}[i%2], inboxOf("bob"), "", "", fmt.Sprint(i+1))
		}
	})
	defer publishing.Wait()
	seq, epoch, next := int64(0), "", 1
	for round := 0; seq < n; round++ {
		at, c := []*agent{b, a}[round%2], p.conn()
		resume := router.Resume{Since: message.Position{Known: true, Seq: seq}, Epoch: epoch}
		err := at.Login(p.Context(), c, "bob", resume, router.Resume{}, func(in, _ router.Standing) {
			epoch = in.Epoch
			if in.Gap {
				p.Errorf("a gap after %d", seq)
			}
		})
		if err != nil {
			p.Fatalf("Login: %v", err)
		}
		target := min(n, seq+40)
		p.eventually(fmt.Sprint("seq ", target), func() bool { return c.seq.Load() >= target })
		at.Detach(c)
		for _, s := range c.all() {
			if s != fmt.Sprint(next) {
				p.Fatalf("got %s, want %d", s, next)
			}
			next++
		}
		seq = int64(next - 1)
	}
}
