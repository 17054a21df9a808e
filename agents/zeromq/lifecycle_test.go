package zeromq_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// Dial does not wait for the other end, and a handshake that does not end is given up and tried again, by
// either end.
func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newSocket(t, zmq4.Push, zeromq.Options{HandshakeTimeout: 50 * time.Millisecond})
	refused := monitor(t, s, zeromq.Refused)
	if err := s.Dial("tcp://" + l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var timeout net.Error
		if e := <-refused; !errors.Is(e.Reason, zeromq.ErrHandshake) || !errors.As(e.Reason, &timeout) || !timeout.Timeout() {
			t.Errorf("refused because of %v", e.Reason)
		}
	}
	server, url := bound(t, zmq4.Pull, zeromq.Options{HandshakeTimeout: 50 * time.Millisecond})
	refused = monitor(t, server, zeromq.Refused)
	half := dialRaw(t, url[len("tcp://"):])
	half.Write(greeting())
	expectClosed(t, half)
	if e := <-refused; !errors.Is(e.Reason, zeromq.ErrHandshake) {
		t.Errorf("refused because of %v", e.Reason)
	}
}

// Close waits for Linger and no longer; a negative one does not wait at all.
func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		space := &zeromq.Inproc{}
		for linger, want := range map[time.Duration]time.Duration{-1: 0, 0: time.Second, 3 * time.Second: 3 * time.Second} {
			s, err := zeromq.NewSocket(t.Context(), zmq4.Push, zeromq.Options{Inproc: space, Linger: linger})
			if err != nil {
				t.Fatal(err)
			}
			s.Dial("inproc://nobody")
			if err := s.SendFrames(t.Context(), []byte("x")); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			s.Close()
			if took := time.Since(began); took != want {
				t.Errorf("Linger %v: Close took %v", linger, took)
			}
		}
	})
}

// A PING announces HeartbeatTTL, and is sent each HeartbeatInterval of silence.
func TestHeartbeatTTL(t *testing.T) {
	t.Parallel()
	_, url := bound(t, zmq4.Router, zeromq.Options{HeartbeatInterval: 20 * time.Millisecond, HeartbeatTTL: 2500 * time.Millisecond, HeartbeatTimeout: patience})
	conn := rawPeer(t, url[len("tcp://"):], "x")
	for range 3 {
		expectFrame(t, conn, 4, "\x04PING\x00\x19")
		conn.Write(command("PONG", nil))
	}
}

// While there is no connection messages wait up to SendHWM: then DEALER, PUSH and REQ hold Send back, PUB and
// ROUTER, which know nobody yet, drop. Disconnect discards what waits.
func TestQueueWhileDown(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "tcp://" + l.Addr().String()
	l.Close()
	const mark = 5
	s := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "me", SendHWM: mark, SendTimeout: -1, Linger: -1}, url)
	for i := range mark {
		put(t, s, fmt.Sprint(i))
	}
	if err := s.Send(zmq4.NewMsgString("x")); !errors.Is(err, zeromq.ErrTimeout) {
		t.Errorf("beyond the mark: %v", err)
	}
	if got := s.Stats(); got.Full == 0 || got.Dropped != 0 {
		t.Errorf("%+v", got)
	}
	pub := dialled(t, zmq4.Pub, zeromq.Options{SendHWM: mark}, url)
	for range 2 * mark {
		put(t, pub, "nobody is interested")
	}
	router := newSocket(t, zmq4.Router, zeromq.Options{})
	if err := router.Listen(url); err != nil {
		t.Fatal(err)
	}
	for i := range mark { // in order, from the same identity
		want(t, router, "me", fmt.Sprint(i))
	}
}

// REQ asks its peers in turn, listens only to the one that was asked, and goes on with the others when one
// is gone.
func TestReqPeers(t *testing.T) {
	t.Parallel()
	a, urlA := bound(t, zmq4.Router, zeromq.Options{})
	b, urlB := bound(t, zmq4.Router, zeromq.Options{})
	req := dialled(t, zmq4.Req, zeromq.Options{RoutingID: "r"}, urlA, urlB)
	peers(t, req, 2)
	for i := range 2 {
		put(t, req, "to a", fmt.Sprint(i))
		want(t, a, "r", "", "to a", fmt.Sprint(i))
		heard := req.Stats().In
		put(t, b, "r", "", "not asked")
		eventually(t, "b has been heard", func() bool { return req.Stats().In > heard })
		put(t, a, "r", "no delimiter")
		put(t, a, "r", "", "a answers")
		want(t, req, "a answers")
		put(t, req, "to b", fmt.Sprint(i))
		want(t, b, "r", "", "to b", fmt.Sprint(i))
		put(t, b, "r", "", "b answers")
		put(t, b, "r", "", "and again")
		want(t, req, "b answers")
	}
	if err := req.Disconnect(urlA); err != nil {
		t.Fatal(err)
	}
	peers(t, req, 1)
	for range 3 {
		put(t, req, "to b")
		want(t, b, "r", "", "to b")
		put(t, b, "r", "", "b answers")
		for { // what b said unasked comes first, and is dropped unless it is taken for the answer
			m, err := req.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Frames[0]) == "b answers" || string(m.Frames[0]) == "and again" {
				break
			}
		}
	}
}

// A socket that comes back to a publisher's endpoint, or a publisher that comes late, finds every counted
// subscription again.
func TestSubscriptionsAreRestored(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sub := dialled(t, zmq4.XSub, zeromq.Options{RoutingID: "s"}, "tcp://"+l.Addr().String())
	for _, topic := range []string{"a", "b", "b", "c"} {
		sub.Subscribe(topic)
	}
	sub.Unsubscribe("b") // one of two
	sub.Unsubscribe("c")
	for range 3 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(hello("PUB", ""))
		io.ReadFull(conn, make([]byte, 64))
		_, ready, err := readFrame(conn)
		if err != nil || string(ready) != "\x05READY\x0bSocket-Type\x00\x00\x00\x04XSUB\x08Identity\x00\x00\x00\x01s" &&
			string(ready) != "\x05READY\x08Identity\x00\x00\x00\x01s\x0bSocket-Type\x00\x00\x00\x04XSUB" {
			t.Errorf("%q, %v", ready, err)
		}
		expectFrame(t, conn, 0, "\x01a")
		expectFrame(t, conn, 0, "\x01b")
		conn.Close()
	}
}
