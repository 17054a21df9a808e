package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// framed is a DEALER that speaks in frames.
type framed struct {
	t *testing.T
	d *zeromq.Dealer
}

func newFramed(t *testing.T, a *agent, routingID string) framed {
	t.Helper()
	d, err := zeromq.NewDealer(zeromq.DealerConfig{Endpoint: a.zmq, RoutingID: routingID})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return framed{t, d}
}

func (f framed) send(frames ...string) {
	f.t.Helper()
	list := make([][]byte, len(frames))
	for i, s := range frames {
		list[i] = []byte(s)
	}
	if err := f.d.Send(context.Background(), list...); err != nil {
		f.t.Fatal(err)
	}
}

func (f framed) next() []string {
	f.t.Helper()
	select {
	case frames := <-f.d.Messages():
		list := make([]string, len(frames))
		for i, b := range frames {
			list[i] = string(b)
		}
		return list
	case <-time.After(20 * time.Second):
		f.t.Fatal("nothing arrived within 20 s")
	}
	return nil
}

// TestRelay: clients of one agent send each other messages by name, as with the Python router.
func TestRelay(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	open := serve(t, "open", m.redis.URL, "--relay", "open")
	t.Run("open", func(t *testing.T) {
		one, two := newFramed(t, open, "client1"), newFramed(t, open, "client2")
		two.send("open", "\x01", `{"type":"Ping","id":"p"}`) // an envelope for the agent, in the relay's form
		if got := two.next(); len(got) != 3 || got[0] != "open" || got[1] != "\x01" || !strings.Contains(got[2], `"ref":"p"`) {
			t.Errorf("the agent answers %q", got)
		}
		one.send("nobody", "\x01", "lost")
		one.send("client2", "\x01", "four", "frames")
		one.send("client2", "\x01", "not utf-8 \xff")
		one.send("client2", "\x02", "wrong type")
		one.send("client2", "\x00\x01", "1")
		if got := two.next(); fmt.Sprint(got) != fmt.Sprint([]string{"client1", "\x01", "1"}) {
			t.Errorf("client2 got %q", got)
		}
	})
	t.Run("raw", func(t *testing.T) {
		a := serve(t, "raw-a", m.redis.URL, "--relay", "open", "--relay-raw")
		b := serve(t, "raw-b", m.redis.URL, "--relay", "open", "--relay-raw")
		one, two, three := newFramed(t, a, "one"), newFramed(t, a, "two"), newFramed(t, b, "three \xff")
		heard := func(f framed, agent string) { // its name is known to the mesh
			f.send(agent, "\x01", `{"type":"Ping"}`)
			f.next()
		}
		heard(two, "raw-a")
		heard(three, "raw-b")
		want := []string{"one", "\x01", "\xff\x00", "", "more"}
		one.send("two", "\x01", "\xff\x00", "", "more")
		if got := two.next(); !slices.Equal(got, want) {
			t.Errorf("two got %q", got)
		}
		one.send("three \xff", "\x01", "\xff\x00", "", "more")
		if got := three.next(); !slices.Equal(got, want) {
			t.Errorf("three got %q", got)
		}
	})
	t.Run("bound", func(t *testing.T) {
		ann, bob, eve := newFramed(t, m.a, "ann.phone"), newFramed(t, m.a, "bob"), newFramed(t, m.a, "eve")
		for user, c := range map[string]framed{"ann": ann, "bob": bob, "mallory": eve} {
			c.send(fmt.Sprintf(`{"type":"Login","id":"l","from":{"type":"User","id":%q,"session":%q}}`, user, login(t, m.redis.URL, user)))
			if got := c.next(); !strings.Contains(got[0], "Ack") {
				t.Fatalf("%s: the Login was answered %q", user, got)
			}
		}
		eve.send("bob", "\x01", "her routing id is not her name")
		eve.send(`{"type":"Ping"}`)
		eve.next() // what she sent before has been dealt with
		ann.send("bob", "\x01", "hello")
		if got := bob.next(); fmt.Sprint(got) != fmt.Sprint([]string{"ann.phone", "\x01", "hello"}) {
			t.Errorf("bob got %q", got)
		}
		ann.send("bob", "two frames")
		if got := ann.next(); !strings.Contains(got[0], "BadRequest") {
			t.Errorf("strange frames were answered %q", got)
		}
	})
}
