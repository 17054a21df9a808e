package interop_test

import (
	"slices"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// side makes the publishers and subscribers of a test, of libzmq or of ours. A publisher is an XPUB, so that
// it sees what it is asked for.
type side struct {
	publisher  func(name string) framed
	subscriber func(name string, topics ...string) listener
}

// listener is a subscriber that sees exact frames.
type listener interface {
	framed
	subscribe(topic string)
	unsubscribe(topic string)
}

func (r *remote) subscribe(topic string) {
	r.do(command{"do": "subscribe", "as": r.name, "topic": inHex([]string{topic})[0]})
}

func (r *remote) unsubscribe(topic string) {
	r.do(command{"do": "unsubscribe", "as": r.name, "topic": inHex([]string{topic})[0]})
}

func (s ours) subscribe(topic string) {
	s.t.Helper()
	if err := s.Subscribe(topic); err != nil {
		s.t.Fatal(err)
	}
}

func (s ours) unsubscribe(topic string) {
	s.t.Helper()
	if err := s.Unsubscribe(topic); err != nil {
		s.t.Fatal(err)
	}
}

var sides = []struct {
	name string
	open func(testing.TB, broker, *trust) side
}{
	{"libzmq", func(t testing.TB, b broker, k *trust) side {
		p := libzmq(t)
		var key curve.SecretKey
		if k != nil {
			key = k.good
		}
		return side{
			publisher: func(name string) framed {
				return p.open(name, k.clientSide(command{"type": "XPUB", "connect": b.pub}, key))
			},
			subscriber: func(name string, topics ...string) listener {
				return p.open(name, k.clientSide(command{"type": "SUB", "connect": b.sub, "topics": inHex(topics)}, key))
			},
		}
	}},
	{"ours", func(t testing.TB, b broker, k *trust) side {
		var key curve.SecretKey
		if k != nil {
			key = k.good
		}
		return side{
			publisher: func(string) framed { return dial(t, zmq4.XPub, "", b.pub, k, key) },
			subscriber: func(_ string, topics ...string) listener {
				s := dial(t, zmq4.Sub, "", b.sub, k, key)
				for _, topic := range topics {
					s.subscribe(topic)
				}
				return s
			},
		}
	}},
}

// TestBroker holds every broker to the transcript of the Python one.
func TestBroker(t *testing.T) {
	t.Parallel()
	for _, server := range brokers {
		for _, side := range sides {
			t.Run(server.name+"/"+side.name, func(t *testing.T) {
				t.Parallel()
				s := side.open(t, server.start(t, nil), nil)
				pub := s.publisher("publisher")
				all := s.subscriber("all", "")
				want(t, pub, "\x01")
				game := s.subscriber("game", "game")
				want(t, pub, "\x01game")
				second := s.subscriber("second", "game", "here") // only "here" is new
				want(t, pub, "\x01here")

				pub.send("game", "\x00", "hello")
				want(t, all, "game", "\x00", "hello")
				want(t, game, "game", "\x00", "hello")
				want(t, second, "game", "\x00", "hello")
				pub.send("", "\x00", "1") // reaches those that ask for everything
				want(t, all, "", "\x00", "1")
				pub.send("gam", "\x00", "less than the prefix")
				want(t, all, "gam", "\x00", "less than the prefix")
				pub.send("gameover", "\x00", "x")
				for _, l := range []listener{all, game, second} {
					want(t, l, "gameover", "\x00", "x")
				}
				pub.send("game", "\x01", "no notification", "", "\xff")
				want(t, game, "game", "\x01", "no notification", "", "\xff")
				want(t, second, "game", "\x01", "no notification", "", "\xff")

				// Of two subscribers of a topic only the last is told of when it ends.
				second.unsubscribe("game")
				second.unsubscribe("here")
				want(t, pub, "\x00here")
				game.unsubscribe("game")
				want(t, pub, "\x00game")

				game.subscribe("late")
				want(t, pub, "\x01late")
				latecomer := s.publisher("latecomer") // is told what is asked for
				got := []string{latecomer.next()[0], latecomer.next()[0]}
				if slices.Sort(got); !slices.Equal(got, []string{"\x01", "\x01late"}) {
					t.Fatalf("a new publisher was asked for %q", got)
				}
				latecomer.send("late", "\x00", "2")
				want(t, game, "late", "\x00", "2")
			})
		}
	}
}

// notify sends a Message.Notification.
func (r *remote) notify(topic, payload string) {
	r.t.Helper()
	r.do(command{"do": "send", "as": r.name, "topic": topic, "payload": payload})
}

// meet lets a notifier publish until a subscriber, which is known to nobody, has something.
func meet(t testing.TB, publish func(), got func() bool) {
	t.Helper()
	for range 400 {
		publish()
		if got() {
			return
		}
	}
	t.Fatal("publisher and subscriber do not meet")
}

// TestAgentsOverBroker: agents of Very Powerful Agents and sockets of ours notify each other over every broker.
func TestAgentsOverBroker(t *testing.T) {
	t.Parallel()
	for _, server := range brokers {
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
				b := server.start(t, k)
				p := vpa(t)
				game := p.open("game", k.clientSide(command{"do": "notifier", "pub": b.pub, "sub": b.sub, "topics": "game"}, key))
				sender := p.open("sender", k.clientSide(command{"do": "notifier", "pub": b.pub, "sub": b.sub}, key))
				pub := dial(t, zmq4.XPub, "", b.pub, k, key)
				asked := []string{pub.next()[0], pub.next()[0]}
				if slices.Sort(asked); !slices.Equal(asked, []string{"\x01", "\x01game"}) {
					t.Fatalf("a publisher was asked for %q", asked)
				}
				sub := dial(t, zmq4.Sub, "", b.sub, k, key)
				sub.subscribe("sync")
				want(t, pub, "\x01sync")

				// A PUB cannot tell when it is connected: it publishes until something arrives.
				heard := make(chan []string)
				go func() { heard <- sub.next() }()
				meet(t, func() { sender.notify("sync", "é") }, func() bool {
					select {
					case got := <-heard:
						if !slices.Equal(got, []string{"sync", "\x00", "é"}) {
							t.Errorf("got %q", got)
						}
						return true
					case <-sender.events: // its own came back
						return false
					}
				})
				for _, payload := range []string{"hello", "", `{"payload": 1}`} {
					sender.notify("gameover", payload)
					if got := game.message(""); *got.Topic != "gameover" || *got.Payload != payload {
						t.Fatalf("got %q on %q", *got.Payload, *got.Topic)
					}
					pub.send("game", "\x00", payload)
					if got := game.message(""); *got.Topic != "game" || *got.Payload != payload {
						t.Fatalf("got %q on %q", *got.Payload, *got.Topic)
					}
				}
			})
		}
	}
}
