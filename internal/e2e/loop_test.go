package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/testredis"
)

// mesh is two agents on one Redis.
type mesh struct {
	redis *testredis.Server // nil when it is not a single one
	url   string            // of Redis
	a, b  *agent
}

func newMesh(tb testing.TB) *mesh {
	tb.Helper()
	r := testredis.Start(tb)
	return &mesh{redis: r, url: r.URL, a: serve(tb, "a", r.URL), b: serve(tb, "b", r.URL)}
}

// TestLoop runs the whole loop with every pair of client kinds, one on each agent.
func TestLoop(t *testing.T) {
	m := newMesh(t)
	game := start(t, []string{"AGENTMESH_REDIS=" + m.url}, "game")
	if got := game.line("the game agent"); got != "ready" {
		t.Fatalf("the game agent printed %q", got)
	}
	for left := range kinds {
		for right := range kinds {
			t.Run(left+" and "+right, func(t *testing.T) {
				t.Parallel()
				p := pair(t, m, left, right)
				t.Run("direct", p.directMessages)
				t.Run("room", p.roomMessages)
				t.Run("global", p.globalMessages)
				t.Run("game", p.gameActions)
				t.Run("impersonation", p.impersonation)
				t.Run("repeated", p.repeated)
			})
		}
	}
}

// couple is ann on agent a and bob on agent b.
type couple struct {
	name     string
	mesh     *mesh
	ann, bob *talker
}

func pair(t *testing.T, m *mesh, left, right string) *couple {
	name := left + "-" + right
	user := func(who string, kind string, at *agent) *talker {
		u := who + "-" + name
		talk := kinds[kind](t, at, u, login(t, m.url, u))
		talk.logIn(nil)
		return talk
	}
	return &couple{name: name, mesh: m, ann: user("ann", left, m.a), bob: user("bob", right, m.b)}
}

func (p *couple) directMessages(t *testing.T) {
	for i, dir := range [][2]*talker{{p.ann, p.bob}, {p.bob, p.ann}} {
		from, to := dir[0], dir[1]
		from.direct(fmt.Sprint("d", i), to.user, "hello")
		got := to.next("the direct message", saying("hello"))
		from.ack(fmt.Sprint("d", i))
		text, _ := json.Marshal(got)
		if strings.Contains(string(text), "session") || strings.Contains(string(text), from.token) {
			t.Errorf("the recipient sees the session: %s", text)
		}
		who, _ := got["from"].(map[string]any)
		if who["id"] != from.user || got.str("id") != fmt.Sprint("d", i) || got.num("seq") == 0 || got.str("epoch") == "" || got.str("time") == "" {
			t.Errorf("the message is not complete: %s", text)
		}
	}
}

func (p *couple) roomMessages(t *testing.T) {
	room := "room-" + p.name
	stranger := kinds["go"](t, p.mesh.b, "eve-"+p.name, login(t, p.mesh.url, "eve-"+p.name))
	stranger.logIn(nil)
	p.ann.join(room)
	p.bob.join(room)
	for i, from := range []*talker{p.ann, p.bob} {
		text := fmt.Sprint("to the room ", i)
		from.room(fmt.Sprint("r", i), room, text)
		for _, to := range []*talker{p.ann, p.bob} {
			if to == from {
				continue
			}
			to.next(text, saying(text))
		}
		if ack := from.next("own message or ack", func(e envelope) bool { return e.str("ref") == fmt.Sprint("r", i) }); ack.num("seq") != int64(i+1) {
			t.Errorf("the Ack of room message %d is %v; it must tell the room's seq", i, ack)
		}
	}
	stranger.room("no", room, "let me in")
	stranger.refused("no", "Forbidden")
	stranger.quiet("a room's message", func(e envelope) bool { return strings.HasPrefix(e.str("message"), "to the room") })
}

func (p *couple) globalMessages(t *testing.T) {
	text := "everyone, from " + p.name
	p.ann.send(envelope{"type": "GlobalMessage", "id": "g", "message": text})
	p.bob.next(text, saying(text))
}

func (p *couple) gameActions(t *testing.T) {
	game := "game-" + p.name
	p.ann.join(game)
	const n = 100
	for i := range n {
		p.bob.send(envelope{"type": "GameAction", "id": fmt.Sprint("m", i), "game": game, "payload": map[string]int{"move": i}})
	}
	for i := range n {
		got := p.ann.next(fmt.Sprint("move ", i), func(e envelope) bool { return e.str("game") == game })
		payload, _ := got["payload"].(map[string]any)
		if payload["move"] != float64(i) || got.str("message") != fmt.Sprint("turn ", i+1) {
			t.Fatalf("move %d: got %v", i, got)
		}
	}
}

func (p *couple) impersonation(t *testing.T) {
	body, _ := json.Marshal(envelope{
		"type": "DirectMessage", "id": "fake", "message": "I am bob",
		"from": map[string]string{"type": "User", "id": p.bob.user, "session": p.ann.token},
		"to":   map[string]string{"type": "User", "id": p.bob.user},
	})
	p.ann.write(string(body))
	p.ann.refused("fake", "Forbidden")
	p.bob.quiet("a message in his own name", saying("I am bob"))
	p.ann.direct("still", p.bob.user, "still here") // the connection lives
	p.bob.next("the message after it", saying("still here"))
}

func (p *couple) repeated(t *testing.T) {
	for range 2 {
		p.ann.direct("twice", p.bob.user, "once only")
	}
	p.ann.ack("twice")
	p.ann.ack("twice")
	p.bob.next("the message", saying("once only"))
	p.ann.direct("after", p.bob.user, "after")
	p.bob.next("what comes after", func(e envelope) bool {
		if e.str("message") == "once only" {
			t.Error("the repeated message was delivered twice")
		}
		return e.str("message") == "after"
	})
}

// TestSessions: whoever has no valid session is logged out and his connection closed, at once also when
// the session ends while he is connected.
func TestSessions(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	for kind, connect := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ends := func(c *talker, reason string) {
				t.Helper()
				if got := c.next("Logout", ofType("Logout")); got.str("reason") != reason {
					t.Errorf("got %v, want reason %s", got, reason)
				}
				if kind == "websocket" {
					c.closed()
				} else {
					c.unbound() // a DEALER reconnects silently
				}
			}
			wrong := connect(t, m.a, "w-"+kind, "no such session")
			wrong.direct("x", "anybody", "hello")
			ends(wrong, "SessionInvalid")

			old := "old-" + kind
			short := login(t, m.url, old, "--ttl", "1s")
			late := connect(t, m.a, old, short)
			late.logIn(nil)
			start := time.Now()
			ends(late, "SessionExpired")
			again := connect(t, m.b, old, short)
			again.direct("x", "anybody", "hello")
			ends(again, "SessionExpired")
			t.Logf("an idle connection was cut %v after its session of 1 s was used", time.Since(start).Round(time.Millisecond))

			bad := "bad-" + kind
			token := login(t, m.url, bad)
			on := map[string]*talker{"a": connect(t, m.a, bad, token), "b": connect(t, m.b, bad, token)}
			for _, c := range on {
				c.logIn(nil)
			}
			start = time.Now()
			if out, err := run(t, "", "session", "revoke", "--redis", m.url, "--user", bad); err != nil || out != "revoked 1" {
				t.Fatalf("session revoke: %q, %v", out, err)
			}
			for _, c := range on {
				ends(c, "SessionRevoked")
			}
			t.Logf("both agents cut the connection within %v of the start of the revoking command", time.Since(start).Round(time.Millisecond))
			after := connect(t, m.a, bad, token)
			after.direct("x", "anybody", "hello")
			ends(after, "SessionRevoked")
		})
	}
}

// TestTenThousand: many messages of one sender to one recipient on another agent, complete and in order.
func TestTenThousand(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	const n = 10000
	for left, right := range map[string]string{"pyzmq": "go", "go": "websocket", "websocket": "pyzmq"} {
		t.Run(left+" to "+right, func(t *testing.T) {
			p := pair(t, m, left, right)
			begin := time.Now()
			go func() {
				for i := range n {
					p.ann.direct(fmt.Sprint("n", i), p.bob.user, fmt.Sprint("number ", i))
				}
			}()
			for i := range n {
				got := p.bob.next(fmt.Sprint("message ", i), ofType("DirectMessage"))
				if want := fmt.Sprint("number ", i); got.str("message") != want || got.num("seq") != int64(i+1) {
					t.Fatalf("message %d is %v", i, got)
				}
			}
			for i := range n {
				p.ann.ack(fmt.Sprint("n", i))
			}
			t.Logf("%d messages, all acknowledged, in %v", n, time.Since(begin).Round(time.Millisecond))
		})
	}
}

// newPersistentMesh is a mesh whose Redis keeps every write.
func newPersistentMesh(tb testing.TB, args ...string) *mesh {
	tb.Helper()
	r := testredis.Start(tb, "--appendonly", "yes", "--appendfsync", "always")
	return &mesh{redis: r, url: r.URL, a: serve(tb, "a", r.URL, args...), b: serve(tb, "b", r.URL, args...)}
}
