package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

// vpa is a pyzmq client of the relay.
type vpa struct {
	*process
	name string
}

func newVPA(t *testing.T, a *agent, name string) vpa {
	t.Helper()
	return vpa{start(t, nil, python, "testdata/client.py", a.zmq, name), name}
}

func (c vpa) send(frames ...string) {
	line, _ := json.Marshal(frames)
	fmt.Fprintln(c.in, string(line))
}

func (c vpa) next(what string) (frames []string) {
	c.tb.Helper()
	if err := json.Unmarshal([]byte(c.line(what)), &frames); err != nil {
		c.tb.Fatal(err)
	}
	return frames
}

// logIn makes a session for user and binds the connection, again if the agent does not answer.
func (c vpa) logIn(t *testing.T, redis, user string) {
	t.Helper()
	token := login(t, redis, user)
	c.send(fmt.Sprintf(`{"type":"Login","id":"l","from":{"type":"User","id":%q,"session":%q}}`, user, token))
	if got := c.next("the Ack"); !strings.Contains(got[0], `"Ack"`) {
		t.Fatalf("%s: the Login was answered %q", c.name, got)
	}
}

// pingPong is a round trip to the agent itself: the connection stands.
func (c vpa) pingPong(t *testing.T) {
	t.Helper()
	c.send(`{"type":"Ping","id":"p"}`)
	if got := c.next("the Pong"); !strings.Contains(got[0], `"Pong"`) {
		t.Fatalf("%s: a Ping was answered %q", c.name, got)
	}
}

// TestRelayCrossesTheMesh: pyzmq clients of two agents send each other messages by name, in order and with
// open and bound relays. The same name on two agents: the first has it; it is free again a lease after kill -9.
func TestRelayCrossesTheMesh(t *testing.T) {
	t.Parallel()
	for _, relay := range []string{"open", "bound"} {
		t.Run(relay, func(t *testing.T) {
			t.Parallel()
			redis := testredis.Start(t)
			a, b := serve(t, "a", redis.URL, "--relay", relay), serve(t, "b", redis.URL, "--relay", relay)
			join := func(at *agent, name string) vpa {
				c := newVPA(t, at, name)
				if relay == "bound" {
					c.logIn(t, redis.URL, strings.SplitN(name, ".", 2)[0])
				} else {
					c.pingPong(t)
				}
				return c
			}
			ann, bob := join(a, "ann.phone"), join(b, "bob")

			const n = 300
			for i := range n {
				ann.send("bob", "\x01", fmt.Sprint(i))
			}
			for i := range n {
				if got := bob.next("what ann sends"); !slices.Equal(got, []string{"ann.phone", "\x01", fmt.Sprint(i)}) {
					t.Fatalf("bob got %q as message %d", got, i)
				}
			}
			bob.send("ann.phone", "\x01", "hello – ünïcode")
			if got := ann.next("an answer"); !slices.Equal(got, []string{"bob", "\x01", "hello – ünïcode"}) {
				t.Fatalf("ann got %q", got)
			}
			bob.send("nobody", "\x01", "lost")

			// A second bob on the other agent: what is sent to bob still goes to the first.
			second := newVPA(t, a, "bob")
			if relay == "bound" {
				second.logIn(t, redis.URL, "bob")
			} else {
				second.send(`{"type":"Ping","id":"p"}`) // never answered: the connection is refused
			}
			carl := newVPA(t, a, "carl") // while the second is at it
			if relay == "bound" {
				carl.logIn(t, redis.URL, "carl")
			} else {
				carl.pingPong(t)
			}
			second.send("ann.phone", "\x01", "I am not bob")
			carl.send("ann.phone", "\x01", "from carl")
			if got := ann.next("what carl sends"); got[0] != "carl" {
				t.Errorf("ann got %q", got)
			}
			carl.send("bob", "\x01", "to bob") // from the agent that has the impostor, too
			if got := bob.next("what is for bob"); !slices.Equal(got, []string{"carl", "\x01", "to bob"}) {
				t.Errorf("bob got %q", got)
			}
			second.kill()

			// Who is away is away: nothing is kept.
			c, err := redisx.Open(redis.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b.kill()
			for i := range 50 {
				ann.send("bob", "\x01", fmt.Sprint("too late ", i))
			}
			began := time.Now()
			heir := newVPA(t, a, "bob") // refused until the lease has run out; libzmq tries again
			if relay == "bound" {
				heir.logIn(t, redis.URL, "bob")
			} else {
				heir.pingPong(t)
			}
			eventually(t, "bob is found at his new agent", func() bool {
				ann.send("bob", "\x01", "again")
				select {
				case line := <-heir.out:
					if !strings.Contains(line, "again") {
						t.Errorf("bob got %s", line)
					}
					return true
				case <-time.After(100 * time.Millisecond):
					return false
				}
			})
			t.Logf("the name was free %v after kill -9 of its agent, lease 3 s", time.Since(began).Round(10*time.Millisecond))
			eventually(t, "nothing is kept for the dead agent", func() bool {
				keys := c.Keys(context.Background(), "{m:a:*}:v").Val()
				return len(keys) == 0 || len(keys) == 1 && c.XLen(context.Background(), keys[0]).Val() == 0
			})
		})
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 30 s in vain: %s", what)
		}
	}
}
