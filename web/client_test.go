package web_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/internal/testbrowser"
)

// newClient opens the page, which provides the origin, and makes a client in it: `c`, with the texts it got
// in `got`, its states in `states` and its gaps in `gaps`. Its waits are short.
func newClient(t *testing.T, s *stub, user, options string) *testbrowser.Page {
	t.Helper()
	var session string
	s.with(func() { session = s.newSession(user) })
	p := testbrowser.Open(t, s.URL)
	makeClient(p, user, session, options)
	return p
}

func makeClient(p *testbrowser.Page, user, session, options string) {
	p.Eval(fmt.Sprintf(`import("/agentmesh.js").then((m) => {
		window.got = []; window.states = []; window.gaps = []; window.failures = [];
		window.c = new m.Client({ url: location.origin.replace("http", "ws") + "/ws", user: %q, session: %q, backoff: { base: 20, cap: 50 }, %s });
		c.addEventListener("message", (e) => got.push(e.detail.message));
		c.addEventListener("state", (e) => states.push(e.detail));
		c.addEventListener("gap", (e) => { gaps.push(e.detail); got.push("GAP"); });
	})`, user, session, options), nil)
}

func online(p *testbrowser.Page) {
	p.Eval(`c.connect()`, nil)
}

func wantGot(t *testing.T, p *testbrowser.Page, want ...string) {
	t.Helper()
	p.Wait(fmt.Sprintf("the last message %q", want[len(want)-1]), fmt.Sprintf(`got.includes(%q)`, want[len(want)-1]))
	var got []string
	p.Eval(`got`, &got)
	if !slices.Equal(got, want) {
		t.Errorf("messages: got %q, want %q", got, want)
	}
}

func lobby(text string) (from string, e, to envelope) {
	to = envelope{"type": "ChatRoom", "id": "lobby"}
	return "bob", envelope{"type": "ChatRoomMessage", "message": text, "to": to}, to
}

func TestClientDropsDuplicates(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	online(p)
	p.Eval(`c.join("lobby")`, nil)
	s.with(func() {
		for _, text := range []string{"1", "2", "3"} {
			s.publish(lobby(text))
		}
		for _, d := range s.history("room:lobby").kept {
			s.toRoom("lobby", d)
		}
		s.publish(lobby("4"))
	})
	wantGot(t, p, "1", "2", "3", "4")
}

func TestClientFillsAHole(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	online(p)
	p.Eval(`c.join("lobby")`, nil)
	s.with(func() {
		s.publish(lobby("1"))
		s.members["lobby"] = nil // two messages are lost on their way
		s.publish(lobby("2"))
		s.publish(lobby("3"))
		s.members["lobby"] = map[string]bool{"ada": true}
		s.publish(lobby("4"))
		s.publish(lobby("5"))
	})
	wantGot(t, p, "1", "2", "3", "4", "5")
	joins := s.waitSent("JoinRoom", 2)
	if got := joins[1]; got["since"] != 1.0 || got["epoch"] != "e1" {
		t.Errorf("resume after a jump: got since %v epoch %v, want 1 and e1", got["since"], got["epoch"])
	}
	if len(joins) != 2 {
		t.Errorf("one hole caused %d resumes, want 1", len(joins)-1)
	}
}

func TestClientAnnouncesWhatCannotBeFilled(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	online(p)
	p.Eval(`c.join("lobby")`, nil)
	s.with(func() {
		s.publish(lobby("1"))
		s.members["lobby"] = nil
		s.publish(lobby("2"))
		s.publish(lobby("3"))
		s.history("room:lobby").oldest = 3
		s.members["lobby"] = map[string]bool{"ada": true}
		s.publish(lobby("4"))
	})
	wantGot(t, p, "1", "GAP", "3", "4")
}

func TestClientResumesAllHistories(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	inbox := func(text string) (string, envelope, envelope) {
		to := envelope{"type": "User", "id": "ada"}
		return "bob", envelope{"type": "DirectMessage", "message": text, "to": to}, to
	}
	global := func(text string) (string, envelope, envelope) {
		return "bob", envelope{"type": "GlobalMessage", "message": text}, nil
	}
	s.with(func() { s.publish(inbox("i1")); s.publish(global("g1")); s.publish(lobby("r1")) })
	online(p)
	p.Eval(`c.join("lobby")`, nil)
	s.drop(1001)
	s.with(func() { s.publish(inbox("i2")); s.publish(global("g2")); s.publish(lobby("r2")) })
	wantGot(t, p, "i1", "g1", "r1", "i2", "g2", "r2")
	login := s.waitSent("Login", 2)[1]
	for key, want := range map[string]any{"since": 1.0, "epoch": "e1", "since_global": 1.0, "epoch_global": "e1"} {
		if login[key] != want {
			t.Errorf("second Login: %s is %v, want %v", key, login[key], want)
		}
	}
	join := s.waitSent("JoinRoom", 2)[1]
	if join["since"] != 1.0 || join["epoch"] != "e1" {
		t.Errorf("rejoin: got since %v epoch %v, want 1 and e1", join["since"], join["epoch"])
	}
	if first := s.sent("Login")[0]; first["since"] != 0.0 || first["epoch"] != nil {
		t.Errorf("first Login: got since %v epoch %v, want 0 and none", first["since"], first["epoch"])
	}
}

func TestClientStartsOverInANewEpoch(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	online(p)
	p.Eval(`c.join("lobby")`, nil)
	s.with(func() { s.publish(lobby("1")); s.publish(lobby("2")) })
	wantGot(t, p, "1", "2")
	s.with(func() {
		s.histories["room:lobby"] = &history{epoch: "e2", oldest: 1}
		s.publish(lobby("new 1")) // while connected
	})
	wantGot(t, p, "1", "2", "GAP", "new 1")
	s.drop(0)
	s.with(func() {
		s.histories["room:lobby"] = &history{epoch: "e3", oldest: 1}
		s.publish(lobby("newer 1")) // while away
	})
	wantGot(t, p, "1", "2", "GAP", "new 1", "GAP", "newer 1")
}

func TestClientLiveOnly(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.with(func() { s.publish("bob", envelope{"type": "GlobalMessage", "message": "old"}, nil) })
	p := newClient(t, s, "ada", "replay: false")
	online(p)
	s.with(func() { s.publish("bob", envelope{"type": "GlobalMessage", "message": "live"}, nil) })
	wantGot(t, p, "live")
}

func TestClientSendsUnacknowledgedAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	online(p)
	p.Eval(`c.join("lobby")`, nil)
	s.with(func() { s.noAck = true })
	p.Eval(`{ window.acks = []; for (const m of ["1", "2"]) c.room("lobby", m).then((a) => acks.push(a.seq)); 0 }`, nil)
	first := s.waitSent("ChatRoomMessage", 2)
	s.with(func() { s.noAck = false })
	s.drop(0)
	p.Wait("both Acks", `acks.length === 2 && c.pending === 0`)
	again := s.waitSent("ChatRoomMessage", 4)
	for i := range 2 {
		if first[i]["id"] != again[i+2]["id"] || first[i]["message"] != again[i+2]["message"] {
			t.Errorf("sent again: got %v, want %v", again[i+2], first[i])
		}
	}
	wantGot(t, p, "1", "2")
}

func TestClientSendsWhatWasWrittenOffline(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "maxPending: 2")
	p.Eval(`{ window.acks = 0; c.global("a").then(() => acks++); c.global("b").then(() => acks++);
		c.global("c").catch((e) => failures.push(e.code)); c.game("chess", { x: "y".repeat(70000) }).catch((e) => failures.push(e.code)); 0 }`, nil)
	p.Wait("refusals", `failures.join() === "QueueFull,TooLarge"`)
	online(p)
	p.Wait("Acks", `acks === 2`)
	wantGot(t, p, "a", "b")
}

func TestClientObeysCloseCodes(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	for _, tt := range []struct {
		code  int
		retry bool
	}{
		{1000, false}, {1001, true}, {1003, false}, {1007, false}, {1009, false}, {1011, true},
		{4401, false}, {4408, true}, {4409, false}, {4413, true}, {4429, true}, {0, true},
	} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) { // one after the other: drop is for all of the stub
			var session string
			s.with(func() { session = s.newSession("ada") })
			p.Eval(`c.close()`, nil)
			makeClient(p, "ada", session, "")
			online(p)
			p.Eval(`states.length = 0`, nil)
			s.drop(tt.code)
			want := "ended"
			if tt.retry {
				want = "waiting"
			}
			p.Wait("the end of the connection", `states.length > 0`)
			var state struct {
				State string
				Delay float64
			}
			p.Eval(`states[0]`, &state)
			if state.State != want {
				t.Errorf("after %d: %s, want %s", tt.code, state.State, want)
			}
			if tt.retry {
				p.Wait("a new connection", `c.state === "online"`)
			} else {
				p.Eval(`c.global("x").catch((e) => failures.push(e.code))`, nil)
				p.Wait("a refusal", `failures[0] === "Closed"`)
			}
			if slow := state.Delay >= 50; slow != (tt.code == 4429) {
				t.Errorf("after %d: waits %v ms; only 4429 waits longer than its step", tt.code, state.Delay)
			}
		})
	}
}

func TestClientRefusedAtLogin(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "")
	s.with(func() { clear(s.sessions) })
	var code string
	p.Eval(`c.connect().catch((e) => e.code + " " + e.message)`, &code)
	if want := "Unauthenticated SessionInvalid"; code != want {
		t.Errorf("connect: got %q, want %q", code, want)
	}
	if n := len(s.sent("Login")); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestClientLeavesAConnectionThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.deaf = true
	p := newClient(t, s, "ada", "pingEvery: 10, timeout: 2000, onEnvelope: (e) => e.type === 'Ack' && failures.push(e.type)")
	online(p)
	s.waitSent("Login", 2)
	s.with(func() { s.deaf = false })
	p.Wait("a connection that lasts", `c.state === "online"`)
	var acks int
	p.Eval(`failures.length`, &acks)
	if acks < 2 {
		t.Errorf("onEnvelope saw %d Acks, want one per Login", acks)
	}
}

func TestClientWhoPingLeave(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := newClient(t, s, "ada", "pingEvery: 10")
	online(p)
	p.Eval(`c.join("lobby")`, nil)
	var who struct{ Members, Online []string }
	s.with(func() { s.members["lobby"]["bob"] = true })
	p.Eval(`c.who("lobby")`, &who)
	if !slices.Equal(who.Members, []string{"ada", "bob"}) || !slices.Equal(who.Online, []string{"ada"}) {
		t.Errorf("who: got %+v", who)
	}
	var bound bool
	p.Eval(`c.ping().then((p) => p.bound && p.ms >= 0)`, &bound)
	if !bound {
		t.Error("ping: not bound")
	}
	p.Eval(`c.leave("lobby")`, nil)
	var rooms int
	p.Eval(`c.rooms.length`, &rooms)
	if rooms != 0 {
		t.Errorf("%d rooms after leave", rooms)
	}
	s.drop(0)
	p.Wait("a new connection", `states.filter((s) => s.state === "online").length === 2`)
	if n := len(s.sent("JoinRoom")); n != 1 {
		t.Errorf("%d JoinRoom, want 1: a room that was left must not be joined again", n)
	}
}
