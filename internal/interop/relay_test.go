package interop_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// dealers opens clients that see exact frames, of libzmq and of ours.
var dealers = []struct {
	name string
	open func(testing.TB, relay, *trust, ...string) []framed
}{
	{"libzmq", func(t testing.TB, r relay, k *trust, names ...string) []framed {
		var list []framed
		p := libzmq(t)
		for _, name := range names {
			list = append(list, openDealer(p, r, k, name))
		}
		return list
	}},
	{"ours", func(t testing.TB, r relay, k *trust, names ...string) []framed {
		var list []framed
		var key curve.SecretKey
		if k != nil {
			key = k.good
		}
		for _, name := range names {
			list = append(list, dial(t, zmq4.Dealer, name, r.endpoint, k, key))
		}
		return list
	}},
}

func openDealer(p *python, r relay, k *trust, name string) *remote {
	var key curve.SecretKey
	if k != nil {
		key = k.good
	}
	return p.open(name, k.clientSide(command{"type": "DEALER", "connect": r.endpoint, "id": inHex([]string{name})[0]}, key))
}

// known waits until the router knows a client: what it sends itself arrives.
func known(t testing.TB, c framed, name string) {
	t.Helper()
	c.send(name, "\x01", "known")
	want(t, c, name, "\x01", "known")
}

// TestRelay holds every router to the transcript of the Python one.
func TestRelay(t *testing.T) {
	t.Parallel()
	for _, server := range relays {
		for _, clients := range dealers {
			t.Run(server.name+"/"+clients.name, func(t *testing.T) {
				t.Parallel()
				r := server.start(t, nil)
				list := clients.open(t, r, nil, "client1", "client2", "")
				one, two, nameless := list[0], list[1], list[2]
				known(t, one, "client1")
				known(t, two, "client2")

				one.send("client2", "\x01", "1")
				want(t, two, "client1", "\x01", "1")
				two.send("client1", "\x01", "")
				want(t, one, "client2", "\x01", "")

				one.send("nobody", "\x01", "lost") // nothing comes back
				if !r.strict {                     // there, an empty name is the agent's
					one.send("", "\x01", "lost")
				}
				known(t, one, "client1")

				large := strings.Repeat("é", 30000)
				one.send("client2", "\x01", large)
				want(t, two, "client1", "\x01", large)

				sendAnonymously(t, nameless, two)
				if r.strict {
					survivable(t, one, two)
				} else {
					everything(t, one, two)
				}
			})
		}
	}
}

// sendAnonymously: a client without a name has one for the others, and they can answer.
func sendAnonymously(t *testing.T, nameless, named framed) {
	t.Helper()
	nameless.send("client2", "\x01", "who am I")
	got := named.next()
	if len(got) != 3 || got[0] == "" || got[1] != "\x01" || got[2] != "who am I" {
		t.Fatalf("from a nameless client: %q", got)
	}
	named.send(got[0], "\x01", "an answer")
	want(t, nameless, "client2", "\x01", "an answer")
}

// everything: the frames behind the name are passed on whatever they are.
func everything(t *testing.T, one, two framed) {
	t.Helper()
	for _, rest := range [][]string{
		{"\x00\x00\x01", "1"}, {"", "1"}, {"\x00", "a notification"}, {"\x02", "no type we know"},
		{"\x01", `{"payload": "\u00e9"}`}, // as 0.0.3 wrote payloads
		{"\x01", "\xff\xfe not UTF-8"}, {"\x01", "four", "frames"}, {"one"}, {}, {"", "", ""},
		{"\x01", strings.Repeat("\x00x", 1<<19)},
	} {
		one.send(append([]string{"client2"}, rest...)...)
		want(t, two, append([]string{"client1"}, rest...)...)
	}
}

// survivable: an agent's router passes on what a Python agent can read, and drops what ends its thread.
func survivable(t *testing.T, one, two framed) {
	t.Helper()
	for _, rest := range [][]string{
		{"", "1"}, {"\x00", "a notification"}, {"\x02", "no type we know"}, {"\x01", "\xff not UTF-8"},
		{"\x01", "four", "frames"}, {"one"}, {"", "", ""},
	} {
		one.send(append([]string{"client2"}, rest...)...)
	}
	one.send("client2", "\x00\x00\x01", "the type is a number of any length")
	want(t, two, "client1", "\x01", "the type is a number of any length")
}

// TestNamelessIsReadable: the name that we give a client without one is text; a Python agent that receives a
// message from a name that is not dies.
func TestNamelessIsReadable(t *testing.T) {
	t.Parallel()
	for _, server := range relays {
		if server.name == "Python router" {
			continue // the one that this is not copied from
		}
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			r := server.start(t, nil)
			agents, sockets := vpa(t), libzmq(t)
			agent := agents.open("agent", command{"do": "client", "address": r.endpoint})
			await(t, agent, "agent")
			nameless := openDealer(sockets, r, nil, "")
			nameless.send("agent", "\x01", "hello")
			got := agent.message("agent")
			if *got.Payload != "hello" || !utf8.ValidString(*got.Name) || *got.Name == "" {
				t.Fatalf("got %q from %q", *got.Payload, *got.Name)
			}
			agent.to(*got.Name, "there")
			want(t, nameless, "agent", "\x01", "there")
		})
	}
}

// TestTakenName: while a client lives, nobody takes its name.
func TestTakenName(t *testing.T) {
	t.Parallel()
	for _, server := range relays {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			r := server.start(t, nil)
			p := libzmq(t)
			first := openDealer(p, r, nil, "client1")
			known(t, first, "client1")
			other := openDealer(p, r, nil, "client2")
			known(t, other, "client2")
			thief := libzmq(t).open("thief", command{"type": "DEALER", "connect": r.endpoint, "id": inHex([]string{"client1"})[0], "monitor": true})
			thief.await("connection", func(h happened) bool { return h.Event == "CONNECTED" })
			thief.send("client2", "\x01", "stolen")
			for range 3 {
				other.send("client1", "\x01", "for the first")
				want(t, first, "client2", "\x01", "for the first")
			}
			known(t, other, "client2") // and nothing came from the thief
			if r.python {
				return // it never looks at the second connection again
			}
			// With ours, who was refused tries again, and has the name once its holder has gone.
			first.close()
			deadline := time.After(patience)
			for {
				other.send("client1", "\x01", "for the heir")
				select {
				case h := <-thief.events:
					if h.Frames != nil {
						return
					}
				case <-time.After(50 * time.Millisecond):
				case <-deadline:
					t.Fatal("the name is not free again")
				}
			}
		})
	}
}

// message is the next one that an agent received; what it sent itself is left out.
func (r *remote) message(self string) happened {
	r.t.Helper()
	return r.await("message", func(h happened) bool { return h.Payload != nil && (h.Name == nil || *h.Name != self) })
}

// to sends a Message.Client.
func (r *remote) to(name, payload string) {
	r.t.Helper()
	r.do(command{"do": "send", "as": r.name, "name": name, "payload": payload})
}

// await waits until the router knows an agent.
func await(t testing.TB, agent *remote, name string) {
	t.Helper()
	agent.to(name, "known")
	agent.await("message from itself", func(h happened) bool { return h.Name != nil && *h.Name == name })
}

// TestAgentsOverRelay: agents of Very Powerful Agents and sockets of ours talk over every router.
func TestAgentsOverRelay(t *testing.T) {
	t.Parallel()
	for _, server := range relays {
		for _, secured := range []bool{false, true} {
			name, k := server.name, (*trust)(nil)
			if secured {
				name += " with CURVE"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var key curve.SecretKey
				if secured {
					k = newTrust(t)
					key = k.good
				}
				r := server.start(t, k)
				p := vpa(t)
				one := p.open("client1", k.clientSide(command{"do": "client", "address": r.endpoint}, key))
				two := p.open("client2", k.clientSide(command{"do": "client", "address": r.endpoint}, key))
				await(t, one, "client1")
				await(t, two, "client2")
				go3 := dial(t, zmq4.Dealer, "go", r.endpoint, k, key)
				known(t, go3, "go")
				for _, payload := range []string{"1", "", `{"payload": "é"}`, strings.Repeat("x", 60000)} {
					one.to("client2", payload)
					if got := two.message("client2"); *got.Name != "client1" || *got.Payload != payload {
						t.Fatalf("client2 got %.100q from %q", *got.Payload, *got.Name)
					}
					go3.send("client1", "\x01", payload)
					if got := one.message("client1"); *got.Name != "go" || *got.Payload != payload {
						t.Fatalf("client1 got %.100q from %q", *got.Payload, *got.Name)
					}
					two.to("go", payload)
					want(t, go3, "client2", "\x01", payload)
				}
			})
		}
	}
}
