package zeromq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

func TestOptionsNameTheField(t *testing.T) {
	t.Parallel()
	for field, o := range map[string]zeromq.Options{
		"RoutingID":         {RoutingID: strings.Repeat("n", 256)},
		"HeartbeatTTL":      {HeartbeatTTL: 2 * time.Hour},
		"ReconnectMax":      {ReconnectInterval: 2, ReconnectMax: 1},
		"MaxParts":          {MaxParts: -1},
		"MaxTopicBytes":     {MaxTopicBytes: -1},
		"HeartbeatInterval": {HeartbeatInterval: -1},
		"Backlog":           {Backlog: -1},
	} {
		if _, err := zeromq.NewSocket(context.Background(), zmq4.Pull, o); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestLimitsDisconnect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  zmq4.SocketType
		peer  string
		bytes []byte
	}{
		"frame":         {zmq4.Router, "DEALER", header(0, 1001)},
		"two frames":    {zmq4.Router, "DEALER", join(frame(1, make([]byte, 600)), frame(0, make([]byte, 600)))},
		"parts":         {zmq4.Router, "DEALER", join(frame(1, nil), frame(1, nil), frame(1, nil), frame(1, nil), frame(0, nil))},
		"subscriptions": {zmq4.Pub, "SUB", join(frame(0, []byte("\x01a")), frame(0, []byte("\x01b")), command("SUBSCRIBE", []byte("c")))},
		"SUBSCRIBE":     {zmq4.Router, "DEALER", command("SUBSCRIBE", []byte("c"))},
		"huge topic":    {zmq4.Pub, "SUB", join(header(4, 1<<20))},
		"long topics":   {zmq4.Pub, "SUB", join(frame(0, append([]byte{1}, make([]byte, 400)...)), frame(0, append([]byte{1, 1}, make([]byte, 200)...)))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := bound(t, c.kind, zeromq.Options{MaxMessageSize: 1000, MaxParts: 4, MaxSubscriptions: 2, MaxTopicBytes: 500})
			down := monitor(t, s, zeromq.PeerDown)
			conn := dialRaw(t, url[len("tcp://"):])
			conn.Write(join(hello(c.peer, ""), c.bytes))
			expectClosed(t, conn)
			if e := <-down; !errors.Is(e.Reason, zeromq.ErrLimit) && !errors.Is(e.Reason, zeromq.ErrProtocol) {
				t.Errorf("closed because of %v", e.Reason)
			}
		})
	}
}

// An XPUB that nobody reads holds so many reports and no more, however often subscribers come and go.
func TestUnreadXPub(t *testing.T) {
	t.Parallel()
	const mark = 10
	pub, url := bound(t, zmq4.XPub, zeromq.Options{RecvHWM: mark})
	visit := func(i int) {
		conn := dialRaw(t, url[len("tcp://"):])
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(join(hello("SUB", ""), frame(0, fmt.Appendf(nil, "\x01%d", i))))
		if _, err := io.ReadFull(conn, make([]byte, 64+2)); err != nil { // it is welcome
			t.Fatal(err)
		}
		eventually(t, "subscribed", func() bool { return len(pub.Topics()) == 1 })
		conn.Close()
		peers(t, pub, 0)
	}
	for i := range 10 * mark {
		visit(i)
	}
	reports := zeromq.Unread(pub)
	if reports > 2*mark {
		t.Fatalf("%d reports wait", reports)
	}
	topics := map[string]int{} // each that began has ended
	for range reports {
		m, err := pub.Recv()
		if err != nil {
			t.Fatal(err)
		}
		topics[string(m.Frames[0][1:])] += 2*int(m.Frames[0][0]) - 1
	}
	for topic, n := range topics {
		if n != 0 {
			t.Errorf("%s: %d", topic, n)
		}
	}
	late := dialled(t, zmq4.Sub, zeromq.Options{}, url)
	late.Subscribe("late")
	want(t, pub, "\x01late")
}

// Both forms of subscription count, whatever their length and number.
func TestManySubscriptions(t *testing.T) {
	t.Parallel()
	pub, url := bound(t, zmq4.XPub, zeromq.Options{})
	conn := dialRaw(t, url[len("tcp://"):])
	long := strings.Repeat("long", 2000)
	conn.Write(join(hello("SUB", ""), command("SUBSCRIBE", []byte(long)), frame(0, []byte("\x01b")), command("CANCEL", []byte("b"))))
	want(t, pub, "\x01"+long)
	want(t, pub, "\x01b")
	want(t, pub, "\x00b")
	const n = 3000 // more than any high-water mark, and than commands in a second
	sub := newSocket(t, zmq4.Sub, zeromq.Options{})
	for i := range n {
		sub.Subscribe(fmt.Sprint("t", i))
	}
	sub.Dial(url)
	py := newPyEnd(t, zmq4.Sub, "connect", url, "SNDHWM=0") // libzmq drops subscriptions at its own mark
	for i := range n {
		py.subscribe(t, fmt.Sprint("p", i))
	}
	for range 2 * n {
		if _, err := pub.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, pub, "t2999x")
	want(t, sub, "t2999x")
	put(t, pub, "p2999x")
	same(t, py.recv(t), [][]byte{[]byte("p2999x")})
	if got := len(pub.Topics()); got != 2*n+1 {
		t.Errorf("%d topics", got)
	}
}

func TestMaxConnsAndRate(t *testing.T) {
	t.Parallel()
	for _, o := range []zeromq.Options{{MaxConns: 1}, {ConnectsPerSecond: 1}} {
		s, url := bound(t, zmq4.Pull, o)
		refused := monitor(t, s, zeromq.Refused)
		for range 3 {
			dialRaw(t, url[len("tcp://"):])
		}
		if e := <-refused; !errors.Is(e.Reason, zeromq.ErrBusy) {
			t.Errorf("refused because of %v", e.Reason)
		}
	}
}

// Those who fill their lane, go and come again do not fill the memory: they count until they are read.
func TestWhatTheGoneLeaveIsBounded(t *testing.T) {
	t.Parallel()
	const conns, each = 3, 10
	pull, url := bound(t, zmq4.Pull, zeromq.Options{MaxConns: conns, RecvHWM: each})
	refused := monitor(t, pull, zeromq.Refused)
	visit := func() {
		conn := dialRaw(t, url[len("tcp://"):])
		conn.Write(join(hello("PUSH", ""), bytes.Repeat(frame(0, []byte("x")), each)))
		conn.(*net.TCPConn).CloseWrite()
		expectClosed(t, conn)
	}
	for range 5 * conns {
		visit()
	}
	for range 4 * conns {
		if e := <-refused; !errors.Is(e.Reason, zeromq.ErrBusy) {
			t.Errorf("refused because of %v", e.Reason)
		}
	}
	for range conns * each {
		want(t, pull, "x")
	}
	if _, err := pull.RecvFrames(timeout(t, 20*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one message more than %d of %d connections: %v", each, conns, err)
	}
	eventually(t, "they count no more", func() bool {
		visit()
		_, err := pull.RecvFrames(timeout(t, 20*time.Millisecond))
		return err == nil
	})
}

func TestBindsAndDials(t *testing.T) {
	t.Parallel()
	space := &zeromq.Inproc{}
	s := newSocket(t, zmq4.Pull, zeromq.Options{Inproc: space, Backlog: 10})
	for _, e := range []string{"tcp://127.0.0.1:0", "inproc://a", "tcp://*:*", "tcp://[::1]:*"} {
		if err := s.Listen(e); err != nil {
			t.Fatal(err)
		}
	}
	all := s.Addrs()
	port := all[2][strings.LastIndex(all[2], ":"):]
	for _, e := range []string{all[0], all[1], "tcp://127.0.0.1" + port, "tcp://localhost" + port, all[3]} {
		push := dialled(t, zmq4.Push, zeromq.Options{Inproc: space}, e)
		put(t, push, e)
		want(t, s, e)
	}
	if a, ok := s.Addr().(*net.TCPAddr); !ok || a.Port == 0 {
		t.Errorf("Addr is %v", s.Addr())
	}
	if err := s.Listen("inproc://a"); err == nil {
		t.Error("inproc://a is bound twice")
	}
	if err := s.Unbind("inproc://a"); err != nil || len(s.Addrs()) != 3 {
		t.Errorf("Unbind: %v, left %q", err, s.Addrs())
	}
	if err := s.Unbind("inproc://a"); err == nil {
		t.Error("unbound twice")
	}
	early := dialled(t, zmq4.Push, zeromq.Options{Inproc: space}, "inproc://late")
	unreachable := monitor(t, early, zeromq.Unreachable)
	put(t, early, "early")
	if e := <-unreachable; e.Endpoint != "inproc://late" || e.Reason == nil {
		t.Errorf("%+v", e)
	}
	if err := s.Listen("inproc://late"); err != nil {
		t.Fatal(err)
	}
	want(t, s, "early")
	if err := early.Disconnect("inproc://late"); err != nil {
		t.Fatal(err)
	}
	peers(t, early, 0)
	if err := early.Disconnect("inproc://late"); err == nil {
		t.Error("disconnected twice")
	}
	for _, e := range []string{"", "tcp://", "tcp://host", "udp://x:1", "inproc://"} {
		if s.Dial(e) == nil || s.Listen(e) == nil {
			t.Errorf("%q is an endpoint", e)
		}
	}
	if err := newSocket(t, zmq4.Pull, zeromq.Options{}).Listen("inproc://x"); err == nil {
		t.Error("inproc without a space")
	}
}

// A stock zmq4 socket takes ours for its own.
func TestStockSocketsAsPeers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rep, url := bound(t, zmq4.Rep, zeromq.Options{})
	req := zmq4.NewReq(ctx)
	defer req.Close()
	if err := req.Dial(url); err != nil {
		t.Fatal(err)
	}
	put(t, req, "q", "2")
	want(t, rep, "q", "2")
	put(t, rep, "a")
	want(t, req, "a")
	pub, url := bound(t, zmq4.Pub, zeromq.Options{})
	sub := zmq4.NewSub(ctx)
	defer sub.Close()
	sub.SetOption(zmq4.OptionSubscribe, "t")
	if err := sub.Dial(url); err != nil {
		t.Fatal(err)
	}
	eventually(t, "subscribed", func() bool { return len(pub.Topics()) == 1 })
	put(t, pub, "other")
	put(t, pub, "topic", "x")
	want(t, sub, "topic", "x")
}
