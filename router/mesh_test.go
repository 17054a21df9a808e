package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/router"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const patience = 20 * time.Second

// onBoth runs test against a real Redis and the embedded one.
func onBoth(t *testing.T, test func(t *testing.T, m *mesh)) {
	t.Helper()
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, newMesh(t, testredis.Start(t).URL))
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, newMesh(t, startEmbedded(t)))
	})
}

func startEmbedded(t testing.TB) string {
	t.Helper()
	e, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e.URL()
}

// mesh is some routers on one Redis, and what carries messages between them.
type mesh struct {
	t     testing.TB
	url   string
	redis *redisx.Client
	ctx   context.Context //nolint:containedctx // of the test

	// What the carrier does to a message, in percent. Drop confirms and forgets.
	drop, twice, shuffle int

	mu     sync.Mutex
	agents map[string]*agent
	conns  atomic.Uint64
}

type agent struct {
	*router.Router
	name string
	mesh *mesh
	stop func()
	in   chan []byte
}

func newMesh(t testing.TB, url string) *mesh {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	c, err := redisx.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &mesh{t: t, url: url, redis: c, ctx: ctx, agents: map[string]*agent{}}
}

// agent starts a router.
func (m *mesh) agent(name string, change ...func(*router.Config)) *agent {
	m.t.Helper()
	client, err := redisx.Open(m.url)
	if err != nil {
		m.t.Fatal(err)
	}
	a := &agent{name: name, mesh: m, in: make(chan []byte, 1<<16)}
	config := router.Config{
		Redis: client, Incarnation: name, Carrier: a, Drain: 2 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&config)
	}
	if a.Router, err = router.New(config); err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx); err != nil {
			m.t.Errorf("Run: %v", err)
		}
	})
	running.Go(func() { a.receive(ctx) })
	a.stop = sync.OnceFunc(func() {
		m.mu.Lock()
		delete(m.agents, name)
		m.mu.Unlock()
		cancel()
		running.Wait()
		client.Close()
	})
	m.mu.Lock()
	m.agents[name] = a
	m.mu.Unlock()
	m.t.Cleanup(a.stop)
	return a
}

// receive delivers what comes in, perhaps not in order.
func (a *agent) receive(ctx context.Context) {
	var aside [][]byte
	deliver := func(raw []byte) {
		msg, err := message.ParseBinary(raw)
		if err == nil {
			err = a.Deliver(ctx, msg)
		}
		if err != nil && ctx.Err() == nil {
			a.mesh.t.Errorf("Deliver: %v", err)
		}
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			rand.Shuffle(len(aside), func(i, j int) { aside[i], aside[j] = aside[j], aside[i] })
			for _, raw := range aside {
				deliver(raw)
			}
			aside = nil
		case raw := <-a.in:
			if rand.IntN(100) < a.mesh.shuffle {
				aside = append(aside, raw)
				continue
			}
			deliver(raw)
		}
	}
}

func (a *agent) SendTo(incarnation string, m *message.Message, done func(error)) {
	a.mesh.mu.Lock()
	to := a.mesh.agents[incarnation]
	a.mesh.mu.Unlock()
	if to == nil {
		done(fmt.Errorf("test: %w", router.ErrNoAgent))
		return
	}
	to.put(m)
	done(nil)
}

func (a *agent) Broadcast(m *message.Message, done func(error)) {
	a.mesh.mu.Lock()
	var all []*agent
	for _, to := range a.mesh.agents {
		all = append(all, to)
	}
	a.mesh.mu.Unlock()
	for _, to := range all {
		to.put(m)
	}
	done(nil)
}

func (a *agent) put(m *message.Message) {
	raw := m.AppendBinary(nil)
	if rand.IntN(100) < a.mesh.twice {
		a.in <- raw
	}
	if rand.IntN(100) >= a.mesh.drop {
		a.in <- raw
	}
}

// client is a connection that remembers what it was sent.
type client struct {
	t    testing.TB
	a    *agent
	key  uint64
	user string

	mu    sync.Mutex
	got   []envelope
	full  bool // refuses everything
	woken chan struct{}
}

type envelope struct {
	Type   string          `json:"type"`
	To     message.Address `json:"to"`
	Text   string          `json:"message"`
	Seq    int64           `json:"seq"`
	Epoch  string          `json:"epoch"`
	Joined []string        `json:"joined"`
	Left   []string        `json:"left"`
}

func (m *mesh) client(a *agent, user string) *client {
	return &client{t: m.t, a: a, key: m.conns.Add(1), user: user, woken: make(chan struct{}, 1)}
}

func (c *client) Key() uint64  { return c.key }
func (c *client) Backlog() int { return 0 }
func (c *client) Send(body []byte) error {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		c.t.Errorf("client %s got broken JSON %q: %v", c.user, body, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full {
		return errors.New("full")
	}
	c.got = append(c.got, e)
	select {
	case c.woken <- struct{}{}:
	default:
	}
	return nil
}

func (c *client) all() []envelope {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]envelope(nil), c.got...)
}

// wait waits until what the client got satisfies enough.
func (c *client) wait(what string, enough func([]envelope) bool) []envelope {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		got := c.all()
		if enough(got) {
			return got
		}
		select {
		case <-c.woken:
		case <-deadline.C:
			c.t.Fatalf("%s at %s waits for %s; got %d: %s", c.user, c.a.name, what, len(got), brief(got))
		}
	}
}

func brief(got []envelope) string {
	s := ""
	for i, e := range got {
		if i == 40 {
			return s + " …"
		}
		s += fmt.Sprintf(" %s%d:%s", e.Type, e.Seq, e.Text)
	}
	return s
}

func (c *client) waitTexts(want ...string) []envelope {
	c.t.Helper()
	got := c.wait(fmt.Sprint(want), func(got []envelope) bool { return len(texts(got)) >= len(want) })
	if fmt.Sprint(texts(got)) != fmt.Sprint(want) {
		c.t.Fatalf("%s got %v, want %v", c.user, texts(got), want)
	}
	return got
}

func texts(got []envelope) []string {
	var out []string
	for _, e := range got {
		if e.Type == "Chat" {
			out = append(out, e.Text)
		}
	}
	return out
}

func (c *client) bind() *client {
	c.t.Helper()
	if err := c.a.Bind(c.a.mesh.ctx, c, c.user); err != nil {
		c.t.Fatalf("Bind %s: %v", c.user, err)
	}
	return c
}

// login logs in; the Ack stands among what the client got, as type Ack.
func (c *client) login(inbox, global router.Resume) (in, all router.Standing) {
	c.t.Helper()
	err := c.a.Login(c.a.mesh.ctx, c, c.user, inbox, global, func(i, g router.Standing) {
		in, all = i, g
		_ = c.Send([]byte(`{"type":"Ack"}`))
	})
	if err != nil {
		c.t.Fatalf("Login %s: %v", c.user, err)
	}
	return in, all
}

func (c *client) join(room string, r router.Resume) (standing router.Standing, first bool) {
	c.t.Helper()
	first, err := c.a.Join(c.a.mesh.ctx, c.user, room, c, r, func(s router.Standing) {
		standing = s
		_ = c.Send([]byte(`{"type":"Ack"}`))
	})
	if err != nil {
		c.t.Fatalf("Join %s: %v", c.user, err)
	}
	return standing, first
}

// since is a client's position.
func since(seq int64, epoch string) router.Resume {
	return router.Resume{Since: message.Position{Known: true, Seq: seq}, Epoch: epoch}
}

func inbox(user string) router.History { return router.History{Kind: router.Inbox, ID: user} }
func room(id string) router.History    { return router.History{Kind: router.Room, ID: id} }

var global = router.History{Kind: router.Global}

func chat(to router.History, author, mark, text string) router.Post {
	body, _ := json.Marshal(map[string]any{"type": "Chat", "to": to, "message": text})
	return router.Post{To: to, Author: author, Mark: mark, Body: body}
}

type outcome struct {
	message.Result
	duplicate bool
	err       error
}

// publish publishes and waits for the outcome.
func (a *agent) publish(p router.Post) outcome {
	a.mesh.t.Helper()
	out := make(chan outcome, 1)
	a.Publish(p, func(r message.Result, duplicate bool, err error) { out <- outcome{r, duplicate, err} })
	select {
	case o := <-out:
		return o
	case <-time.After(patience):
		a.mesh.t.Fatal("Publish has no outcome")
		return outcome{}
	}
}

func (a *agent) mustPublish(p router.Post) message.Result {
	a.mesh.t.Helper()
	o := a.publish(p)
	if o.err != nil {
		a.mesh.t.Fatalf("Publish: %v", o.err)
	}
	return o.Result
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

// ascending checks that the seqs of the chat messages are from+1 … to, each once.
func ascending(t testing.TB, got []envelope, from, to int64) {
	t.Helper()
	next := from + 1
	for _, e := range got {
		if e.Type != "Chat" {
			continue
		}
		if e.Seq != next {
			t.Fatalf("got seq %d, want %d: %s", e.Seq, next, brief(got))
		}
		next++
	}
	if next != to+1 {
		t.Fatalf("got up to seq %d, want %d", next-1, to)
	}
}
