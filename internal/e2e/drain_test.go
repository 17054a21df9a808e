package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

// stop stops a Python client's process and returns its id.
func (m *mesh) stop(tb testing.TB, c *talker) int {
	tb.Helper()
	if c.pid == 0 {
		tb.Fatal("it is no process of its own")
	}
	if err := syscall.Kill(c.pid, syscall.SIGSTOP); err != nil {
		tb.Fatal(err)
	}
	return c.pid
}

// TestDrainUnderLoad: an agent that is told to end while clients never stop sending says goodbye, ends in
// time, and everything it has acknowledged reaches its recipient.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	bob := newDealer(t, m.b, "bob", made.session("bob"))
	bob.logIn(nil)

	type farewell struct {
		acked  []string
		reason string
		code   int
	}
	const senders = 4
	ends := make([]farewell, senders)
	var all sync.WaitGroup
	busy := make(chan struct{}, senders)
	for i := range senders {
		ws, err := websocket.Dial(context.Background(), m.a.ws, websocket.ClientConfig{Session: made.session(fmt.Sprint("s", i)), Buffer: 1000})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		all.Go(func() {
			for n := 0; ; n++ {
				body := fmt.Sprintf(`{"type":"DirectMessage","id":"%d-%d","to":{"type":"User","id":"bob"},"message":"x"}`, i, n)
				if ws.Send(context.Background(), []byte(body)) != nil {
					return
				}
			}
		})
		all.Go(func() {
			f := &ends[i]
			for body := range ws.Messages() {
				var e envelope
				if json.Unmarshal(body, &e) != nil {
					continue
				}
				switch e.str("type") {
				case "Ack":
					if f.acked = append(f.acked, e.str("ref")); len(f.acked) == 300 {
						busy <- struct{}{}
					}
				case "Logout":
					f.reason = e.str("reason")
				}
			}
			f.code = ws.CloseCode()
		})
	}
	for range senders {
		<-busy
	}
	start := time.Now()
	m.a.end(syscall.SIGTERM)
	took := time.Since(start)
	all.Wait()
	if code := m.a.cmd.ProcessState.ExitCode(); code != 0 || took > 6*time.Second {
		t.Errorf("the agent ended with %d after %v", code, took)
	}
	acked := map[string]bool{}
	for i, f := range ends {
		if f.reason != "Drain" || f.code != websocket.GoingAway {
			t.Errorf("sender %d: reason %q, code %d", i, f.reason, f.code)
		}
		for _, ref := range f.acked {
			acked[ref] = true
		}
	}
	t.Logf("%d messages were acknowledged; the drain took %v", len(acked), took.Round(time.Millisecond))
	bob.next("everything acknowledged", func(e envelope) bool {
		delete(acked, e.str("id"))
		return len(acked) == 0
	})
}

// TestBrokerStops: while Redis is stopped or gone nobody is let in and nothing is acknowledged; afterwards
// all goes on by itself.
func TestBrokerStops(t *testing.T) {
	t.Parallel()
	// ann's verdict stays cached: were it asked for anew during an outage, Unavailable would be her answer too.
	m := newPersistentMesh(t, "--session-ttl", "1m")
	made := newMint(t, m.redis.URL)
	names := 0
	newcomer := func(kind string) *talker {
		names++
		user := fmt.Sprint("user", names)
		return kinds[kind](t, m.a, user, made.session(user))
	}
	ann := newcomer("go")
	ann.logIn(nil)
	for name, outage := range map[string]struct{ begin, end func() }{
		"stopped": {m.redis.Pause, m.redis.Resume},
		"killed":  {m.redis.Kill, m.redis.Restart},
	} {
		late := map[string]*talker{"go": newcomer("go"), "websocket": newcomer("websocket")}
		outage.begin()
		ann.direct("during "+name, ann.user, "x")
		deadline := time.After(4 * time.Second)
		for _, c := range late {
			c.send(envelope{"type": "Login", "id": "in"})
			c.direct("during", c.user, "x")
		}
		for kind, c := range late {
			select {
			case l := <-c.lines:
				var e envelope
				if json.Unmarshal([]byte(l), &e) != nil || e.str("code") != "Unavailable" || e["retry"] != true {
					t.Errorf("%s: a %s newcomer was answered %s", name, kind, l)
				}
			case l := <-ann.lines:
				t.Errorf("%s: ann was told %s", name, l)
			case <-deadline: // silence is right too
			}
		}
		outage.end()
		for _, c := range append([]*talker{ann}, late["go"], late["websocket"]) {
			deadline := time.Now().Add(20 * time.Second)
			for i := 0; ; i++ {
				id := fmt.Sprint("again ", name, i)
				c.send(envelope{"type": "Login", "id": id})
				if e := c.next("an answer", answers(id)); e.str("type") == "Ack" {
					break
				} else if e.str("code") != "Unavailable" || time.Now().After(deadline) {
					t.Fatalf("%s: afterwards a Login is answered %v", name, e)
				}
			}
		}
	}
	made.hidden("the log", m.a.logs.tail(1<<30)+m.b.logs.tail(1<<30))
}

// TestSeam: a client that comes and goes while it is written to sees every message once and in order. Where
// the history is shorter than what it missed, it is told, also when that is cut while it is read.
func TestSeam(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]string{"kept": "3000", "trimmed": "60"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := testredis.Start(t)
			on := []*agent{serve(t, "a", redis.URL, "--history", keep), serve(t, "b", redis.URL, "--history", keep)}
			made := newMint(t, redis.URL)
			ann := newDealer(t, on[0], "ann", made.session("ann"))
			ann.logIn(nil)
			const n = 2000
			token := made.session("bob")
			first := newDealer(t, on[0], "bob", token)
			epoch := first.logIn(envelope{"since": 0}).str("epoch")
			first.close()
			var sending sync.WaitGroup
			defer sending.Wait()
			sending.Go(func() {
				for i := range n {
					ann.direct(fmt.Sprint(i), "bob", fmt.Sprint("number ", i))
					for i%20 == 0 && !strings.Contains(<-ann.lines, fmt.Sprintf(`"ref":"%d"`, i)) {
						continue // not faster than they are stored
					}
				}
			})
			last, gaps, visits := int64(0), 0, 0
			for ; last < n; visits++ {
				bob := []func(testing.TB, *agent, string, string) *talker{newDealer, newBrowser}[visits%2](t, on[visits/2%2], "bob", token)
				bob.send(envelope{"type": "Login", "id": "login", "since": last, "epoch": epoch})
				acked, jumped, stay := false, false, min(last+37, n)
				bob.next("messages and the Ack", func(e envelope) bool {
					seq := e.num("seq")
					switch e.str("type") {
					case "Ack":
						if e["gap"] == true {
							gaps++
							jumped = jumped || last < seq // all of it was gone before it was read
							last = seq
						}
						if e["gap"] != jumped {
							t.Errorf("visit %d: the Ack is %v; a message was missing: %t", visits, e, jumped)
						}
						acked = true
					case "DirectMessage":
						if seq > last+1 && !acked { // in the replay
							jumped = true
						} else if seq != last+1 {
							t.Fatalf("visit %d: after %d came %v", visits, last, e)
						}
						if e.str("message") != fmt.Sprint("number ", seq-1) || e.str("epoch") != epoch {
							t.Fatalf("got %v", e)
						}
						last = seq
					default:
						t.Fatalf("got %v", e)
					}
					return acked && last >= stay
				})
				if visits%3 == 0 {
					bob.send(envelope{"type": "Logout"})
				}
				bob.close()
			}
			t.Logf("%d visits, %d of them after a gap", visits, gaps)
			if (gaps > 0) != (name == "trimmed") {
				t.Errorf("%d gaps", gaps)
			}
		})
	}
}

// TestHistoryTrimmed: what a history no longer holds is never a silent hole.
func TestHistoryTrimmed(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	small := serve(t, "small", m.redis.URL, "--history", "50")
	ann := newDealer(t, small, "ann", made.session("ann"))
	ann.logIn(nil)
	const n = 120
	token := made.session("bob")
	first := newDealer(t, small, "bob", token)
	epoch := first.logIn(nil).str("epoch")
	first.close()
	for i := range n {
		ann.direct(fmt.Sprint(i), "bob", fmt.Sprint("number ", i))
		ann.ack(fmt.Sprint(i))
	}
	for name, c := range map[string]struct {
		since envelope
		from  int64
		gap   bool
	}{
		"trimmed":                {envelope{"since": 10, "epoch": epoch}, 71, true},
		"just held":              {envelope{"since": 70, "epoch": epoch}, 71, false},
		"just not held":          {envelope{"since": 69, "epoch": epoch}, 71, true},
		"up to date":             {envelope{"since": n, "epoch": epoch}, n + 1, false},
		"wrong epoch":            {envelope{"since": 100, "epoch": "another"}, 71, true},
		"from the beginning":     {envelope{"since": 0}, 71, false},
		"live only":              {envelope{}, n + 1, false},
		"ahead of what there is": {envelope{"since": n + 50, "epoch": epoch}, 71, true},
	} {
		t.Run(name, func(t *testing.T) {
			bob := newBrowser(t, small, "bob", token)
			defer bob.close()
			e := envelope{"type": "Login", "id": "login"}
			maps.Copy(e, c.since)
			bob.send(e)
			var seqs []int64
			ack := bob.next("the Ack", func(e envelope) bool {
				if e.str("type") == "DirectMessage" {
					seqs = append(seqs, e.num("seq"))
				}
				return e.str("ref") == "login"
			})
			if ack["gap"] != c.gap || ack.num("seq") != n || ack.num("oldest") != 71 || ack.str("epoch") != epoch {
				t.Errorf("got %v", ack)
			}
			for i, seq := range seqs {
				if seq != c.from+int64(i) {
					t.Fatalf("got %v", seqs)
				}
			}
			if int64(len(seqs)) != n+1-c.from {
				t.Errorf("got %d messages: %v", len(seqs), seqs)
			}
		})
	}
}
