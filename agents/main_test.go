package agents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// logs is what an agent logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// running is an agent in this process.
type running struct {
	*agents.Agent
	at   agents.Addresses
	logs *logs
	stop func() error // ends Run and returns what it returned; idempotent
}

// config is an agent on an embedded broker, both sockets on free ports.
func config() agents.Config {
	return agents.Config{
		Name: "under-test", ZeroMQ: []string{"tcp://127.0.0.1:0"}, HTTP: "127.0.0.1:0", GlobalRate: -1,
		Lease: time.Second,
	}
}

// run runs an agent until the test ends. setup registers handlers.
func run(tb testing.TB, cfg agents.Config, setup func(*agents.Agent)) *running {
	tb.Helper()
	r := &running{logs: &logs{}}
	cfg.Logger = slog.New(slog.NewTextHandler(r.logs, nil))
	ready := make(chan agents.Addresses, 1)
	cfg.Ready = func(at agents.Addresses) { ready <- at }
	a, err := agents.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	r.Agent = a
	if setup != nil {
		setup(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			tb.Error("Run has not returned")
			return nil
		}
	})
	tb.Cleanup(func() {
		_ = r.stop()
		if tb.Failed() {
			tb.Logf("the agent logged:\n%s", r.logs)
		}
	})
	select {
	case r.at = <-ready:
	case err := <-ended:
		ended <- err
		tb.Fatalf("Run returned %v", err)
	case <-time.After(patience):
		tb.Fatal("the agent did not get ready")
	}
	return r
}

// envelope is a decoded message.
type envelope map[string]any

func (e envelope) str(key string) string { s, _ := e[key].(string); return s }
func (e envelope) num(key string) int64  { n, _ := e[key].(float64); return int64(n) }

// client is a WebSocket client of a user.
type client struct {
	tb          testing.TB
	user, token string
	*websocket.Client
}

// session makes a session.
func (r *running) session(tb testing.TB, user string, roles ...string) string {
	tb.Helper()
	token, _, err := r.Sessions().Create(context.Background(), user, time.Hour, roles...)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// connect opens a connection that shows no session yet.
func (r *running) connect(tb testing.TB, user, token string) *client {
	tb.Helper()
	ws, err := websocket.Dial(context.Background(), strings.Replace(r.at.HTTP, "http", "ws", 1)+"/ws", websocket.ClientConfig{Buffer: 10000})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ws.Close() })
	return &client{tb, user, token, ws}
}

// login connects a new user.
func (r *running) login(tb testing.TB, user string, roles ...string) *client {
	tb.Helper()
	c := r.connect(tb, user, r.session(tb, user, roles...))
	c.send(envelope{"type": "Login", "id": "login"})
	c.ack("login")
	return c
}

func (c *client) send(e envelope) {
	c.tb.Helper()
	e["from"] = map[string]string{"type": "User", "id": c.user, "session": c.token}
	body, err := json.Marshal(e)
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := c.Send(context.Background(), body); err != nil {
		c.tb.Errorf("%s cannot send: %v", c.user, err)
	}
}

func (c *client) direct(id, to, text string) {
	c.send(envelope{"type": "DirectMessage", "id": id, "to": map[string]string{"type": "User", "id": to}, "message": text})
}

func (c *client) join(room string) {
	c.send(envelope{"type": "JoinRoom", "id": "join " + room, "to": map[string]string{"type": "ChatRoom", "id": room}})
	c.ack("join " + room)
}

// next returns the next envelope for which want holds.
func (c *client) next(what string, want func(envelope) bool) envelope {
	c.tb.Helper()
	deadline := time.After(patience)
	var passed []string
	for {
		select {
		case body, ok := <-c.Messages():
			if !ok {
				c.tb.Fatalf("%s waits for %s: the connection ended; passed over %q", c.user, what, passed)
			}
			var e envelope
			if err := json.Unmarshal(body, &e); err != nil {
				c.tb.Fatalf("%s got no JSON: %q", c.user, body)
			}
			if want(e) {
				return e
			}
			passed = append(passed, string(body))
		case <-deadline:
			c.tb.Fatalf("%s waits for %s in vain; passed over %q", c.user, what, passed)
		}
	}
}

func (c *client) answer(ref string) envelope {
	c.tb.Helper()
	return c.next("the answer to "+ref, func(e envelope) bool { return e.str("ref") == ref })
}

func (c *client) ack(ref string) envelope {
	c.tb.Helper()
	e := c.answer(ref)
	if e.str("type") != "Ack" {
		c.tb.Fatalf("%s: the answer to %s is %v, not an Ack", c.user, ref, e)
	}
	return e
}

func (c *client) refused(ref, code string) envelope {
	c.tb.Helper()
	e := c.answer(ref)
	if e.str("type") != "Error" || e.str("code") != code {
		c.tb.Fatalf("%s: the answer to %s is %v, not an Error %s", c.user, ref, e, code)
	}
	return e
}

// saying waits for a message with a text.
func (c *client) saying(text string) envelope {
	c.tb.Helper()
	return c.next(text, func(e envelope) bool { return e.str("message") == text })
}

// eventually waits until ok holds.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("%s: not within %v", what, patience)
		}
	}
}
