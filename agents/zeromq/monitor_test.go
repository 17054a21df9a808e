package zeromq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// Events say who came, who went and who was refused, by routing id, address, mechanism and user id, and why.
func TestMonitor(t *testing.T) {
	t.Parallel()
	auth := zeromq.AuthFunc(func(_ context.Context, r zeromq.AuthRequest) (string, error) {
		if r.RoutingID == "stranger" || r.Username == "stranger" {
			return "", errors.New("unknown")
		}
		return "user of " + r.RoutingID + r.Username, nil
	})
	k, other := newKeys(), newKeys()
	other.server = k.server
	for _, c := range []struct {
		name           string
		server         zeromq.Security
		client         func(name string) zeromq.Security
		user           string
		strangerIsSeen bool // before it is refused it has said its routing id
	}{
		{"NULL", zeromq.Security{Auth: auth}, func(string) zeromq.Security { return zeromq.Security{} }, "user of friend", true},
		{"PLAIN", zeromq.Security{Auth: auth, PlainServer: true}, func(name string) zeromq.Security {
			return zeromq.Security{PlainUsername: name}
		}, "user of friend", false},
		{"CURVE", k.serves(), func(name string) zeromq.Security {
			if name == "stranger" {
				return other.asks()
			}
			return k.asks()
		}, "ann", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, url := bound(t, zmq4.Router, zeromq.Options{Security: c.server})
			up, down, refused := monitor(t, s, zeromq.PeerUp), monitor(t, s, zeromq.PeerDown), monitor(t, s, zeromq.Refused)
			friend := newSocket(t, zmq4.Dealer, zeromq.Options{RoutingID: "friend", Security: c.client("friend")})
			met := monitor(t, friend, zeromq.PeerUp)
			friend.Dial(url)
			check := func(e zeromq.MonitorEvent, id, user string, reason error) {
				t.Helper()
				o := *e.Origin
				if e.Endpoint != url || o.RoutingID != id || o.Mechanism != c.name || o.UserID != user || !strings.HasPrefix(o.Addr, "127.0.0.1:") {
					t.Errorf("%v: %+v at %s", e.Kind, o, e.Endpoint)
				}
				if !errors.Is(e.Reason, reason) {
					t.Errorf("%v because of %v, want %v", e.Kind, e.Reason, reason)
				}
			}
			check(<-up, "friend", c.user, nil)
			if e := <-met; e.Endpoint != url || e.Origin.Addr != url[len("tcp://"):] {
				t.Errorf("%+v at %s", e.Origin, e.Endpoint)
			}
			impostor := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "friend", Security: c.client("friend"), ReconnectInterval: -1}, url)
			check(<-refused, "friend", c.user, zeromq.ErrRoutingID)
			impostor.Close()

			friend.Close()
			if e := <-down; e.Reason == nil {
				t.Error("down without a reason")
			} else {
				check(e, "friend", c.user, e.Reason)
			}
			stranger := newSocket(t, zmq4.Dealer, zeromq.Options{RoutingID: "stranger", Security: c.client("stranger"), ReconnectInterval: -1})
			denied := monitor(t, stranger, zeromq.Refused)
			stranger.Dial(url)
			id := ""
			if c.strangerIsSeen {
				id = "stranger"
			}
			check(<-refused, id, "", zeromq.ErrUnauthorized)
			if e := <-denied; !errors.Is(e.Reason, zeromq.ErrUnauthorized) {
				t.Errorf("the stranger hears %v", e.Reason)
			}
			dialRaw(t, url[len("tcp://"):]).Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			check(<-refused, "", "", zeromq.ErrHandshake)
			if got := s.Stats(); got.Connected != 1 || got.Refused != 3 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A Router says the same of those it refuses.
func TestRouterTellsWhoWasRefused(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{Name: "agent", Security: zeromq.Security{
		Auth: zeromq.AuthFunc(func(_ context.Context, r zeromq.AuthRequest) (string, error) { return "user of " + r.RoutingID, nil }),
	}}, echo)
	dialRaw(t, r.address()).Write(hello("DEALER", "agent"))
	e := r.await(t, zeromq.Refused)
	if o := e.Origin; o.RoutingID != "agent" || o.Mechanism != "NULL" || o.UserID != "user of agent" || o.Addr != e.Addr || !errors.Is(e.Reason, zeromq.ErrRoutingID) {
		t.Errorf("refused: %+v because of %v", o, e.Reason)
	}
	rawPeer(t, r.address(), "")
	if e := r.await(t, zeromq.PeerUp); e.Origin.RoutingID != e.Peer.RoutingID() || e.Origin.Addr != e.Addr {
		t.Errorf("up: %+v", e.Origin)
	}
}

// A subscriber to Monitor that is stuck holds nobody up and misses the oldest.
func TestSlowMonitor(t *testing.T) {
	t.Parallel()
	s, url := bound(t, zmq4.Pull, zeromq.Options{ConnectsPerSecond: 1})
	stuck := make(chan struct{})
	sub := s.Monitor().Subscribe(t.Context(), func(zeromq.MonitorEvent) { <-stuck }, nil, nil)
	push := dialled(t, zmq4.Push, zeromq.Options{}, url)
	for i := range 2000 {
		dialRaw(t, url[len("tcp://"):]).Close()
		if i%100 == 0 {
			put(t, push, fmt.Sprint(i))
			want(t, s, fmt.Sprint(i))
		}
	}
	eventually(t, "all are refused", func() bool { return s.Stats().Refused >= 1900 })
	close(stuck)
	sub.Dispose()
	<-sub.Done()
}
