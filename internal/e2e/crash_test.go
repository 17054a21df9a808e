package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestReceiverKilled kills the receiving agent while a thousand acknowledged messages are on their way,
// and starts it again: every one reaches the recipient who comes back, duplicates only with the same id.
func TestReceiverKilled(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	ann := newDealer(t, m.a, "ann", login(t, m.redis.URL, "ann"))
	ann.logIn(nil)
	token := login(t, m.redis.URL, "bob")
	bob := newDealer(t, m.b, "bob", token)
	standing := bob.logIn(nil)

	const n = 1000
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			ann.direct(fmt.Sprint("k", i), "bob", fmt.Sprint("text ", i))
		}
	}()
	seen := map[string]int64{} // id to seq
	last, epoch := standing.num("seq"), standing.str("epoch")
	hear := func(e envelope) {
		if e.str("type") != "DirectMessage" {
			return
		}
		if before, twice := seen[e.str("id")]; twice && before != e.num("seq") {
			t.Errorf("%s came as %d and as %d", e.str("id"), before, e.num("seq"))
		}
		seen[e.str("id")] = e.num("seq")
		last = max(last, e.num("seq"))
	}
	for range 200 {
		hear(bob.next("a message", ofType("DirectMessage")))
	}
	m.b.kill()
	t.Logf("killed the agent after %d of %d messages", len(seen), n)
	bob.close()
	for len(bob.lines) > 0 { // what had reached the client before
		hear(bob.next("a message", func(envelope) bool { return true }))
	}
	<-sent
	for i := range n {
		ann.ack(fmt.Sprint("k", i))
	}
	m.b = serveAt(t, "b", m.redis.URL, m.b.zmq, strings.TrimPrefix(m.b.http, "http://"))
	back := newDealer(t, m.b, "bob", token)
	back.send(envelope{"type": "Login", "id": "login", "since": last, "epoch": epoch})
	ack := back.next("the Ack of the Login", func(e envelope) bool { hear(e); return e.str("ref") == "login" })
	if ack.str("type") != "Ack" || ack["gap"] != false || ack.num("seq") != n {
		t.Errorf("the Login was answered %v", ack)
	}
	for i := range n {
		if seq := seen[fmt.Sprint("k", i)]; seq != int64(i+1) {
			t.Fatalf("message %d has seq %d: lost or out of order", i, seq)
		}
	}
	ann.direct("last", "bob", "the mesh goes on")
	back.next("a live message", saying("the mesh goes on"))
}

// TestBrokerRestarts: Redis goes away and comes back; nothing acknowledged is lost and both agents resume.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	m := newPersistentMesh(t)
	ann := newDealer(t, m.a, "ann", login(t, m.redis.URL, "ann"))
	bob := newDealer(t, m.b, "bob", login(t, m.redis.URL, "bob"))
	ann.logIn(nil)
	bob.logIn(nil)
	ann.direct("1", "bob", "before")
	bob.next("the message before", saying("before"))
	ann.ack("1")
	m.redis.Kill()
	for i := range 20 {
		ann.direct(fmt.Sprint("during", i), "bob", fmt.Sprint("during ", i))
	}
	m.redis.Restart()
	// Each is acknowledged, or refused with the promise that nothing was accepted: then it is sent again.
	for i := range 20 {
		for {
			e := ann.next("an answer", answers(fmt.Sprint("during", i)))
			if e.str("type") == "Ack" {
				break
			}
			if e.str("code") != "Unavailable" {
				t.Fatalf("got %v", e)
			}
			ann.direct(fmt.Sprint("during", i), "bob", fmt.Sprint("during ", i))
		}
	}
	got := map[string]bool{}
	for len(got) < 20 {
		e := bob.next("a message of the time between", ofType("DirectMessage"))
		if got[e.str("id")] {
			t.Errorf("%v came twice", e)
		}
		got[e.str("id")] = true
	}
}
