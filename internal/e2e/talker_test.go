package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// envelope is a decoded message.
type envelope map[string]any

func (e envelope) str(key string) string { s, _ := e[key].(string); return s }
func (e envelope) num(key string) int64  { n, _ := e[key].(float64); return int64(n) }

// talker is a client of the mesh, whatever it is written in and whatever carries it.
type talker struct {
	tb          testing.TB
	user, token string
	write       func(string)
	lines       <-chan string // closed when the connection is
	close       func()
	pid         int // of a client that is a process of its own
}

// kinds are the clients that every test of the loop is run with.
var kinds = map[string]func(tb testing.TB, a *agent, user, token string) *talker{
	"pyzmq": newPython, "go": newDealer, "websocket": newBrowser,
}

// python is Debian's: its zmq comes from python3-zmq.
const python = "/usr/bin/python3"

func newPython(tb testing.TB, a *agent, user, token string) *talker {
	tb.Helper()
	if out, err := exec.Command(python, "-c", "import zmq").CombinedOutput(); err != nil {
		tb.Fatalf("pyzmq is missing; install it with: apt-get install -y python3-zmq\n%s", out)
	}
	p := start(tb, nil, python, "testdata/dealer.py", a.zmq, "")
	return &talker{tb: tb, user: user, token: token, lines: p.out, close: p.kill, pid: p.cmd.Process.Pid,
		write: func(s string) { fmt.Fprintln(p.in, s) }}
}

func newDealer(tb testing.TB, a *agent, user, token string) *talker {
	tb.Helper()
	d, err := zeromq.NewDealer(zeromq.DealerConfig{Endpoint: a.zmq, Inbox: 100000})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	lines := make(chan string, 200000)
	go func() { defer close(done); _ = d.Run(ctx) }()
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		for {
			select {
			case frames := <-d.Messages():
				if len(frames) == 1 {
					lines <- string(frames[0])
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	t := &talker{tb: tb, user: user, token: token, lines: lines,
		close: func() { cancel(); <-done; <-relayed },
		write: func(s string) { _ = d.Send(ctx, []byte(s)) }}
	tb.Cleanup(t.close)
	return t
}

// dial connects, again if a crowded machine has kept it from saying hello in time, as browsers do.
func dial(url string) (*websocket.Client, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		c, err := websocket.Dial(context.Background(), url, websocket.ClientConfig{Buffer: 1000})
		var refused *websocket.HandshakeError
		if err == nil || errors.As(err, &refused) || time.Now().After(deadline) {
			return c, err
		}
		<-time.After(100 * time.Millisecond)
	}
}

func newBrowser(tb testing.TB, a *agent, user, token string) *talker {
	tb.Helper()
	c, err := dial(a.ws)
	if err != nil {
		tb.Fatal(err)
	}
	lines := make(chan string, 200000)
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		for body := range c.Messages() {
			lines <- string(body)
		}
		close(lines)
	}()
	t := &talker{tb: tb, user: user, token: token, lines: lines,
		close: func() { _ = c.Close(); <-relayed },
		write: func(s string) { _ = c.Send(context.Background(), []byte(s)) }}
	tb.Cleanup(t.close)
	return t
}

// send sends an envelope from the talker's user with his session.
func (t *talker) send(e envelope) {
	e["from"] = map[string]string{"type": "User", "id": t.user, "session": t.token}
	body, err := json.Marshal(e)
	if err != nil {
		t.tb.Fatal(err)
	}
	t.write(string(body))
}

// next returns the next envelope for which want holds; others are passed over.
func (t *talker) next(what string, want func(envelope) bool) envelope {
	t.tb.Helper()
	deadline := time.After(30 * time.Second)
	var passed []string
	for {
		select {
		case l, ok := <-t.lines:
			if !ok {
				t.tb.Fatalf("%s waits for %s: the connection ended; passed over %q", t.user, what, passed)
			}
			var e envelope
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				t.tb.Fatalf("%s got no JSON: %q", t.user, l)
			}
			if want(e) {
				return e
			}
			passed = append(passed, l)
		case <-deadline:
			t.tb.Fatalf("%s waits for %s: nothing within 30 s; passed over %q", t.user, what, passed)
		}
	}
}

// closed waits until the agent has closed the connection, where that can be seen.
func (t *talker) closed() {
	t.tb.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case _, ok := <-t.lines:
			if !ok {
				return
			}
		case <-deadline:
			t.tb.Fatalf("%s: the connection is still open after 30 s", t.user)
		}
	}
}

// unbound waits until the agent says that it does not know the connection. A Ping that went into a
// connection which was being closed is lost, so it is repeated.
func (t *talker) unbound() {
	t.tb.Helper()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case <-again.C:
			t.write(`{"type":"Ping"}`)
		case l := <-t.lines:
			var e envelope
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				t.tb.Fatalf("%s got no JSON: %q", t.user, l)
			}
			if e.str("type") == "Pong" && e["bound"] == false {
				return
			}
		case <-deadline:
			t.tb.Fatalf("%s: the agent never said that the connection is unbound", t.user)
		}
	}
}

func ofType(typ string) func(envelope) bool {
	return func(e envelope) bool { return e.str("type") == typ }
}

func answers(ref string) func(envelope) bool {
	return func(e envelope) bool { return e.str("ref") == ref }
}

func saying(text string) func(envelope) bool {
	return func(e envelope) bool { return e.str("message") == text }
}

// ack waits for the Ack of the message with the given id.
func (t *talker) ack(ref string) envelope {
	t.tb.Helper()
	e := t.next("the answer to "+ref, answers(ref))
	if e.str("type") != "Ack" {
		t.tb.Fatalf("%s: the answer to %s is %v, not an Ack", t.user, ref, e)
	}
	return e
}

// refused waits for an Error with the given code.
func (t *talker) refused(ref, code string) envelope {
	t.tb.Helper()
	e := t.next("the answer to "+ref, answers(ref))
	if e.str("type") != "Error" || e.str("code") != code {
		t.tb.Fatalf("%s: the answer to %s is %v, not an Error %s", t.user, ref, e, code)
	}
	return e
}

// logIn binds the connection; more adds since and epoch.
func (t *talker) logIn(more envelope) envelope {
	t.tb.Helper()
	e := envelope{"type": "Login", "id": "login"}
	maps.Copy(e, more)
	t.send(e)
	return t.ack("login")
}

func (t *talker) direct(id, to, text string) {
	t.send(envelope{"type": "DirectMessage", "id": id, "to": map[string]string{"type": "User", "id": to}, "message": text})
}

func (t *talker) room(id, room, text string) {
	t.send(envelope{"type": "ChatRoomMessage", "id": id, "to": map[string]string{"type": "ChatRoom", "id": room}, "message": text})
}

func (t *talker) join(room string) envelope {
	t.tb.Helper()
	t.send(envelope{"type": "JoinRoom", "id": "join-" + room, "to": map[string]string{"type": "ChatRoom", "id": room}})
	return t.ack("join-" + room)
}

// quiet fails if an envelope for which want holds has arrived. It asks the agent once more first, so
// that everything the agent sent before has come.
func (t *talker) quiet(what string, want func(envelope) bool) {
	t.tb.Helper()
	t.write(`{"type":"Ping","id":"quiet"}`)
	t.next("Pong", func(e envelope) bool {
		if want(e) {
			t.tb.Errorf("%s got %s: %v", t.user, what, e)
		}
		return e.str("ref") == "quiet"
	})
}
