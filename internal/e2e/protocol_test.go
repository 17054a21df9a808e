package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/middleware/session"
)

// mint makes sessions without a process for each.
type mint struct {
	tb    testing.TB
	store *session.Store

	mu     sync.Mutex
	tokens []string
}

func newMint(tb testing.TB, redisURL string) *mint {
	tb.Helper()
	client, err := redisx.Open(redisURL)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	store, err := session.NewStore(session.Config{Redis: client})
	if err != nil {
		tb.Fatal(err)
	}
	return &mint{tb: tb, store: store}
}

func (m *mint) session(user string) string {
	m.tb.Helper()
	token, _, err := m.store.Create(context.Background(), user, time.Hour)
	if err != nil {
		m.tb.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = append(m.tokens, token)
	return token
}

// hidden fails when text holds a session that was made, or its digest.
func (m *mint) hidden(where, text string) {
	m.tb.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, token := range m.tokens {
		if strings.Contains(text, token) || strings.Contains(text, session.Digest(token)) {
			m.tb.Errorf("%s shows a session", where)
		}
	}
}

// TestVectors sends every vector of the protocol raw to a running agent, from a connection that is bound.
func TestVectors(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	f, err := os.ReadFile("../../agents/message/testdata/envelopes.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"benjamin": made.session("benjamin"), "a": made.session("a")}
	sent := 0
	for line := range bytes.Lines(f) {
		var v struct {
			Name, Expect, Field string
			Input               []byte `json:"input_base64"`
		}
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		user, input := "benjamin", string(v.Input)
		if strings.Contains(input, `"id":"a",`) {
			user = "a"
		}
		size := len(input)
		for _, stub := range []string{`QWERTYUIO!@#$%^&"`, `s"`} {
			input = strings.Replace(input, `"session":"`+stub, `"session":"`+tokens[user]+`"`, 1)
		}
		if longer := len(input) - size; size > 64000 { // its length is what it is about
			input = strings.Replace(input, strings.Repeat("x", longer), "", 1)
		}
		for _, kind := range []string{"go", "websocket"} {
			sent++
			t.Run(kind+"/"+v.Name, func(t *testing.T) {
				c := kinds[kind](t, m.a, user, tokens[user])
				defer c.close()
				c.logIn(nil)
				c.join("room1")
				c.write(input)
				if kind == "websocket" && strings.Contains(v.Name, "invalid utf-8") {
					c.closed() // 1007
					return
				}
				c.write(`{"type":"Ping","id":"the end"}`)
				var got envelope
				deadline := time.After(20 * time.Second)
				for e := (envelope{}); e.str("ref") != "the end"; {
					select {
					case l := <-c.lines:
						// One vector holds a number that is none of Go's.
						e = envelope{}
						if err := json.Unmarshal([]byte(strings.Replace(l, "1e400", "1", 1)), &e); err != nil {
							t.Fatalf("got %q", l)
						}
						if e.str("type") == "Error" {
							got = e
						}
					case <-deadline:
						t.Fatal("the Ping behind it is not answered")
					}
				}
				code, field := got.str("code"), got.str("field")
				if v.Expect == "ok" {
					v.Expect = ""
					if strings.Contains(input, `"GameAction"`) {
						v.Expect = "NotFound" // it was decoded; nobody runs games here
					}
				}
				if code != v.Expect || (v.Field != "" && field != v.Field) {
					t.Errorf("got %v, want %s %q", got, v.Expect, v.Field)
				}
			})
		}
	}
	if sent < 140 {
		t.Errorf("only %d vectors were sent", sent)
	}
	for _, a := range []*agent{m.a, m.b} {
		made.hidden("the log of an agent", a.logs.tail(1<<30))
	}
}

// TestProtocol is the protocol's tables, line by line.
func TestProtocol(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	t.Run("table", func(t *testing.T) {
		for _, kind := range []string{"go", "websocket", "pyzmq"} {
			for name, check := range map[string]func(*desk, *testing.T){
				"binding": (*desk).binding, "order of checks": (*desk).order, "always answered": (*desk).answered,
				"who": (*desk).who, "logout": (*desk).logout, "mismatch": (*desk).mismatch, "newer session": (*desk).newer,
				"refusals": (*desk).refusals, "sizes": (*desk).sizes,
			} {
				t.Run(kind+"/"+name, func(t *testing.T) {
					t.Parallel()
					check(&desk{mesh: m, mint: made, kind: kind, prefix: strings.ReplaceAll(kind+" "+name+" ", " ", "-"), t: t}, t)
				})
			}
		}
	})
	for _, a := range []*agent{m.a, m.b} {
		made.hidden("the log of an agent", a.logs.tail(1<<30))
	}
}

// desk makes the clients of one test of the table.
type desk struct {
	mesh         *mesh
	mint         *mint
	kind, prefix string
	t            *testing.T
}

func (d *desk) fresh(name string) *talker {
	d.t.Helper()
	user := d.prefix + name
	return d.with(user, d.mint.session(user))
}

func (d *desk) with(user, token string) *talker {
	d.t.Helper()
	c := kinds[d.kind](d.t, d.mesh.a, user, token)
	c.tb = d.t
	return c
}

// ends waits for a Logout and the end of the connection.
func (d *desk) ends(c *talker, reason string) {
	d.t.Helper()
	if got := c.next("Logout", ofType("Logout")); got.str("reason") != reason {
		d.t.Errorf("got %v, want the reason %s", got, reason)
	}
	if d.kind == "websocket" {
		c.closed()
	} else {
		c.unbound()
	}
}

func (d *desk) pong(c *talker) any {
	d.t.Helper()
	c.write(`{"type":"Ping","id":"ping"}`)
	return c.next("Pong", func(e envelope) bool { return e.str("ref") == "ping" && e.str("type") == "Pong" })["bound"]
}

func (d *desk) binding(t *testing.T) {
	c := d.fresh("ann")
	if d.pong(c) != false {
		t.Error("a new connection is bound")
	}
	c.write(`{"type":"GlobalMessage","id":"early","message":"x"}`)
	c.refused("early", "Unauthenticated")
	c.direct("first", c.user, "this binds")
	c.ack("first")
	if d.pong(c) != true {
		t.Error("the first message did not bind the connection")
	}
	c.write(`{"type":"DirectMessage","id":"bare","to":{"type":"User","id":"` + c.user + `"},"message":"no from"}`)
	if from, _ := c.next("the message", saying("no from"))["from"].(map[string]any); from["id"] != c.user || len(from) != 2 {
		t.Errorf("it came from %v", from)
	}
}

func (d *desk) order(t *testing.T) {
	c := d.with("nobody", "no such session")
	c.send(envelope{"type": "DirectMessage", "id": "fields", "message": "x"})
	if e := c.refused("fields", "BadRequest"); e.str("field") != "to" {
		t.Errorf("got %v", e)
	}
	c.send(envelope{"type": "NoSuchType", "id": "session"})
	d.ends(c, "SessionInvalid")

	c = d.fresh("ann")
	c.send(envelope{"type": "NoSuchType", "id": "type"})
	c.refused("type", "UnknownType")
	if d.pong(c) != true {
		t.Error("a valid session binds, whatever the type")
	}
}

func (d *desk) answered(t *testing.T) {
	c := d.fresh("ann")
	bare := func(e envelope) bool { return e.str("type") == "Ack" && e["ref"] == nil }
	c.send(envelope{"type": "Login"})
	ack := c.next("the Ack of a Login without id", bare)
	global, _ := ack["global"].(map[string]any)
	for _, field := range []string{"seq", "epoch", "oldest", "gap"} {
		if ack[field] == nil || global[field] == nil {
			t.Errorf("the Ack %v has no %s", ack, field)
		}
	}
	for _, typ := range []string{"JoinRoom", "LeaveRoom", "LeaveRoom"} {
		c.send(envelope{"type": typ, "to": map[string]string{"type": "ChatRoom", "id": d.prefix + "r"}})
		c.next("the Ack of a "+typ+" without id", bare)
	}
	c.send(envelope{"type": "DirectMessage", "to": map[string]string{"type": "User", "id": c.user}, "message": "no answer"})
	c.next("the message", saying("no answer"))
	c.quiet("an answer nobody asked for", ofType("Ack"))
}

func (d *desk) who(t *testing.T) {
	ann, bob, eve := d.fresh("ann"), d.fresh("bob"), d.fresh("eve")
	room := d.prefix + "room"
	ask := envelope{"type": "Who", "id": "who", "to": map[string]string{"type": "ChatRoom", "id": room}}
	for _, c := range []*talker{ann, bob} {
		c.logIn(nil)
		c.join(room)
	}
	ann.next("bob's coming", func(e envelope) bool {
		joined, _ := e["joined"].([]any)
		return e.str("type") == "Presence" && len(joined) == 1 && joined[0] == bob.user
	})
	eve.logIn(nil)
	eve.send(ask)
	eve.refused("who", "Forbidden")
	bob.send(envelope{"type": "Logout"})
	bob.next("Logout", ofType("Logout"))
	deadline := time.Now().Add(20 * time.Second)
	for {
		ann.send(ask)
		e := ann.next("Presence", func(e envelope) bool { return e["members"] != nil })
		members, _ := e["members"].([]any)
		online, _ := e["online"].([]any)
		if len(members) == 2 && len(online) == 1 && online[0] == ann.user {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("bob has left, and still: %v", e)
		}
	}
}

func (d *desk) logout(t *testing.T) {
	c := d.fresh("ann")
	c.logIn(nil)
	c.direct("before", c.user, "before")
	c.send(envelope{"type": "Logout", "id": "out"})
	c.ack("before")
	d.ends(c, "Requested")
	again := d.with(c.user, c.token)
	again.logIn(nil)
}

func (d *desk) mismatch(t *testing.T) {
	c, other := d.fresh("ann"), d.prefix+"bob"
	c.logIn(nil)
	c.user, c.token = other, d.mint.session(other)
	c.send(envelope{"type": "Login", "id": "other"})
	d.ends(c, "SessionMismatch")
}

func (d *desk) newer(t *testing.T) {
	c := d.fresh("ann")
	c.logIn(nil)
	old := c.token
	// Sessions are told apart by the millisecond.
	for first := time.Now(); time.Since(first) < 5*time.Millisecond; {
		d.pong(c)
	}
	c.token = d.mint.session(c.user)
	c.direct("new", c.user, "with the new one")
	c.ack("new")
	if _, err := d.mint.store.Revoke(context.Background(), old); err != nil {
		t.Fatal(err)
	}
	c.direct("still", c.user, "still here")
	c.ack("still")
	if _, err := d.mint.store.Revoke(context.Background(), c.token); err != nil {
		t.Fatal(err)
	}
	d.ends(c, "SessionRevoked")
}

func (d *desk) refusals(t *testing.T) {
	c := d.fresh("ann")
	c.logIn(nil)
	c.send(envelope{"type": "GlobalMessage", "id": "to", "to": map[string]string{"type": "User", "id": "u"}, "message": "x"})
	if e := c.refused("to", "BadRequest"); e.str("field") != "to" {
		t.Errorf("got %v", e)
	}
	c.send(envelope{"type": "GameAction", "id": "game", "game": "g", "payload": 1})
	c.refused("game", "NotFound")
	c.room("room", d.prefix+"closed", "x")
	c.refused("room", "Forbidden")
	token := c.token
	c.write(`{"type":"Ping","id":"s","session":"` + token + `"}`)
	if e := c.refused("s", "BadRequest"); e.str("field") != "session" || strings.Contains(fmt.Sprint(e), token) {
		t.Errorf("got %v", e)
	}
}

func (d *desk) sizes(t *testing.T) {
	c := d.fresh("ann")
	c.logIn(nil)
	for _, size := range []int{64<<10 + 1, 128 << 10} {
		c.write(strings.Repeat(" ", size))
		c.next("TooLarge", func(e envelope) bool { return e.str("code") == "TooLarge" })
	}
	if d.pong(c) != true {
		t.Error("the connection did not live on")
	}
	c.write(strings.Repeat(" ", 128<<10+1))
	if d.kind == "websocket" {
		c.closed()
	} else {
		c.unbound()
	}
}

// TestFrames: what is not one frame of JSON is refused to a connection that speaks JSON, and it lives on.
func TestFrames(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	d, err := zeromq.NewDealer(zeromq.DealerConfig{Endpoint: m.a.zmq})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	defer func() { cancel(); <-done }()
	exchange := func(want string, frames ...string) {
		t.Helper()
		list := make([][]byte, len(frames))
		for i, f := range frames {
			list[i] = []byte(f)
		}
		if err := d.Send(ctx, list...); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-d.Messages():
			if len(got) != 1 || !strings.Contains(string(got[0]), want) {
				t.Errorf("%q is answered %q, want %s", frames, got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q is not answered", frames)
		}
	}
	exchange("Pong", `{"type":"Ping"}`)
	exchange("BadRequest", "")
	exchange("BadRequest", `{"type":"Ping"}`, `{"type":"Ping"}`)
	exchange("BadRequest", "", "", "", "")
	exchange("Pong", `{"type":"Ping"}`)
}

// TestHandshakeSessions: a session may come with the WebSocket handshake in three ways, and a wrong one is
// refused before the upgrade.
func TestHandshakeSessions(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	token := made.session("ann")
	item := func(s string) string {
		return "agentmesh.v1, session." + base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"bearer":          {"Authorization", "Bearer " + token, 101},
		"cookie":          {"Cookie", "agentmesh_session=" + token, 101},
		"subprotocol":     {"Sec-WebSocket-Protocol", item(token), 101},
		"none":            {"X-None", "1", 101},
		"wrong bearer":    {"Authorization", "Bearer wrong", 401},
		"basic":           {"Authorization", "Basic " + token, 401},
		"wrong cookie":    {"Cookie", "agentmesh_session=wrong", 401},
		"wrong item":      {"Sec-WebSocket-Protocol", item("wrong"), 401},
		"item not base64": {"Sec-WebSocket-Protocol", "agentmesh.v1, session.!!!", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(m.a.http, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s: %s\r\n\r\n", c.header, c.value)
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status || strings.Contains(fmt.Sprint(resp.Header), "session.") {
				t.Fatalf("got %d %v, want %d", resp.StatusCode, resp.Header, c.status)
			}
			if c.status != 101 {
				return
			}
			// A masked text frame with an all-zero mask.
			ping := `{"type":"Ping"}`
			_, _ = conn.Write(append([]byte{0x81, 0x80 | byte(len(ping)), 0, 0, 0, 0}, ping...))
			head := make([]byte, 2)
			if _, err := r.Read(head); err != nil {
				t.Fatal(err)
			}
			body := make([]byte, head[1])
			if _, err := r.Read(body); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(`"bound":%t`, name != "none"); !strings.Contains(string(body), want) {
				t.Errorf("got %q, want %s", body, want)
			}
		})
	}
	t.Run("revoked", func(t *testing.T) {
		gone := made.session("bob")
		c, err := websocket.Dial(context.Background(), m.a.ws, websocket.ClientConfig{Session: gone})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := made.store.Revoke(context.Background(), gone); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.Done():
		case <-time.After(20 * time.Second):
			t.Fatal("the connection lives on")
		}
		if c.CloseCode() != 4401 {
			t.Errorf("closed with %d", c.CloseCode())
		}
	})
}
