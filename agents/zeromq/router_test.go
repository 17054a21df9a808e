package zeromq_test

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

func TestLibzmqRoundTrips(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	ipc := "ipc://" + filepath.Join(t.TempDir(), "router.sock")
	r := startRouter(t, zeromq.RouterConfig{Bind: []string{"tcp://127.0.0.1:*", ipc}, MaxMessage: limit}, echo)
	for _, c := range []struct{ name, mode, url, id string }{
		{"DEALER", "dealer", r.Addrs()[0], "616c696365"},
		{"anonymous DEALER", "dealer", r.Addrs()[0], ""},
		{"binary routing id", "dealer", r.Addrs()[0], "01ff00fe8081"},
		{"REQ", "req", r.Addrs()[0], ""},
		{"ipc", "dealer", r.Addrs()[1], "626f62"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := startPython(t, c.mode, c.url, c.id, strconv.Itoa(limit-2)).line(t); got != "OK" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestEventsAndRouting(t *testing.T) {
	t.Parallel()
	hello := make(chan zeromq.Message, 1)
	r := startRouter(t, zeromq.RouterConfig{Name: "agent"}, func(m zeromq.Message) {
		m.Peer.Release(1)
		hello <- m
	})
	py := startPython(t, "hold", r.url, "client1")
	up := r.await(t, zeromq.PeerUp)
	m := <-hello
	if m.Peer != up.Peer || m.Peer.RoutingID() != "client1" || string(m.Frames[0]) != "hello" {
		t.Fatalf("got %q of %q, want hello of client1", m.Frames, m.Peer.RoutingID())
	}
	if p, ok := r.Peer("client1"); !ok || p != m.Peer || r.Peers() != 1 {
		t.Fatalf("Peer(client1) = %v, %v of %d", p, ok, r.Peers())
	}
	if err := r.Send("client1", []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if got := py.line(t); got != "GOT a b" {
		t.Errorf("got %q", got)
	}
	<-hello
	if err := r.Send("nobody", []byte("x")); !errors.Is(err, zeromq.ErrUnroutable) {
		t.Errorf("Send to nobody: %v", err)
	}
	py.Process.Kill()
	if down := r.await(t, zeromq.PeerDown); down.Peer != up.Peer {
		t.Errorf("PeerDown of %v", down.Peer)
	}
	<-up.Peer.Done()
	if err := up.Peer.Send([]byte("x")); !errors.Is(err, zeromq.ErrClosed) {
		t.Errorf("Send to a closed peer: %v", err)
	}
}

// A live peer keeps its routing id; one that is stopped loses it to the newcomer.
func TestRoutingIDTakeover(t *testing.T) {
	t.Parallel()
	hello := make(chan zeromq.Message, 16)
	r := startRouter(t, zeromq.RouterConfig{Name: "agent", HeartbeatTimeout: 500e6}, func(m zeromq.Message) {
		m.Peer.Release(1)
		hello <- m
	})
	first := startPython(t, "hold", r.url, "game")
	old := (<-hello).Peer
	second := startPython(t, "hold", r.url, "game")
	if e := r.await(t, zeromq.Refused); !errors.Is(e.Reason, zeromq.ErrRoutingID) {
		t.Fatalf("refused because of %v", e.Reason)
	}
	if p, _ := r.Peer("game"); p != old {
		t.Fatal("a live peer lost its routing id")
	}
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m := <-hello // what the refused newcomer had queued is not lost
	if m.Peer == old {
		t.Fatal("message of the stopped peer")
	}
	down := r.await(t, zeromq.PeerDown)
	if down.Peer != old || !errors.Is(down.Reason, zeromq.ErrReplaced) {
		t.Errorf("PeerDown of %v because of %v", down.Peer.Key(), down.Reason)
	}
	if up := r.await(t, zeromq.PeerUp); up.Peer != m.Peer {
		t.Errorf("PeerUp of %v", up.Peer.Key())
	}
	if err := r.Send("game", []byte("yours")); err != nil {
		t.Fatal(err)
	}
	if got := second.line(t); got != "GOT yours" {
		t.Errorf("got %q", got)
	}
}

func TestAgentsOwnNameIsRefused(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{Name: "agent"}, echo)
	startPython(t, "hold", r.url, "agent")
	if e := r.await(t, zeromq.Refused); !errors.Is(e.Reason, zeromq.ErrRoutingID) {
		t.Errorf("refused because of %v", e.Reason)
	}
}

// Many newcomers at once do not take a routing id from a live peer, nor disturb it.
func TestManyNewcomersForALiveRoutingID(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{HeartbeatTimeout: 2 * time.Second}, echo)
	conn, answers := livePeer(t, r.address(), "mine")
	owner := r.await(t, zeromq.PeerUp).Peer
	var newcomers sync.WaitGroup
	for range 40 {
		newcomers.Go(func() {
			c, err := net.Dial("tcp", r.address())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.Write(hello("DEALER", "mine"))
			io.Copy(io.Discard, c)
		})
	}
	newcomers.Wait()
	if p, ok := r.Peer("mine"); !ok || p != owner {
		t.Fatal("the live peer lost its routing id")
	}
	conn.Write(frame(0, []byte("x")))
	if got := <-answers; got != "x" {
		t.Errorf("got %q", got)
	}
	if s := r.Stats(); s.Refused != 40 || s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
}

// zmq4's own sockets announce ZMTP 3.0 and would hand a PING to their application: they are never sent one.
func TestStockZmq4Dealer(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{HeartbeatInterval: 20 * time.Millisecond, HeartbeatTimeout: 20 * time.Millisecond}, echo)
	s := zmq4.NewDealer(t.Context(), zmq4.WithID(zmq4.SocketIdentity("stock")))
	defer s.Close()
	if err := s.Dial(r.url); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := s.Send(zmq4.NewMsgFrom([]byte("a"), nil, []byte(strconv.Itoa(i)))); err != nil {
			t.Fatal(err)
		}
		m, err := s.Recv()
		if err != nil || len(m.Frames) != 3 || string(m.Frames[2]) != strconv.Itoa(i) {
			t.Fatalf("got %q, %v", m.Frames, err)
		}
		<-time.After(20 * time.Millisecond) // longer than a heartbeat all in all
	}
	if p, ok := r.Peer("stock"); !ok || p.RoutingID() != "stock" {
		t.Error("the peer is gone")
	}
}
