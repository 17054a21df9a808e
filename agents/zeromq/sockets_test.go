package zeromq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// newSocket makes a socket that is closed with the test.
func newSocket(t testing.TB, kind zmq4.SocketType, opts zeromq.Options) *zeromq.Socket {
	t.Helper()
	if opts.RecvTimeout == 0 {
		opts.RecvTimeout = patience
	}
	if opts.SendTimeout == 0 {
		opts.SendTimeout = patience
	}
	if opts.ReconnectInterval == 0 {
		opts.ReconnectInterval, opts.ReconnectMax = 10*time.Millisecond, 50*time.Millisecond
	}
	s, err := zeromq.NewSocket(context.Background(), kind, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// bound is newSocket, listening on a free port; it returns the endpoint too.
func bound(t testing.TB, kind zmq4.SocketType, opts zeromq.Options) (*zeromq.Socket, string) {
	t.Helper()
	s := newSocket(t, kind, opts)
	if err := s.Listen("tcp://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	return s, s.Addrs()[0]
}

func dialled(t testing.TB, kind zmq4.SocketType, opts zeromq.Options, endpoints ...string) *zeromq.Socket {
	t.Helper()
	s := newSocket(t, kind, opts)
	for _, e := range endpoints {
		if err := s.Dial(e); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func put(t testing.TB, s zmq4.Socket, frames ...string) {
	t.Helper()
	if err := s.Send(zmq4.NewMsgFromString(frames)); err != nil {
		t.Fatalf("%s sends %q: %v", s.Type(), frames, err)
	}
}

func want(t testing.TB, s zmq4.Socket, frames ...string) {
	t.Helper()
	m, err := s.Recv()
	if err != nil {
		t.Fatalf("%s receives instead of %q: %v", s.Type(), frames, err)
	}
	if got := fmt.Sprintf("%q", m.Frames); got != fmt.Sprintf("%q", frames) {
		t.Fatalf("%s received %s, want %q", s.Type(), got, frames)
	}
}

func peers(t testing.TB, s *zeromq.Socket, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has %d peers", s.Type(), n), func() bool { return s.Peers() == n })
}

func TestPubSubByPrefix(t *testing.T) {
	t.Parallel()
	pub, url := bound(t, zmq4.XPub, zeromq.Options{})
	sub := dialled(t, zmq4.Sub, zeromq.Options{}, url)
	for _, topic := range []string{"game", "game", "ga", "news"} {
		if err := sub.SetOption(zmq4.OptionSubscribe, topic); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for range 3 {
		m, err := pub.Recv()
		if err != nil {
			t.Fatal(err)
		}
		seen[string(m.Frames[0])] = true
	}
	if !seen["\x01game"] || !seen["\x01ga"] || !seen["\x01news"] {
		t.Fatalf("subscriptions %v", seen)
	}
	put(t, pub, "g", "no")
	put(t, pub, "sports", "no")
	put(t, pub, "gameover", "1")
	put(t, pub, "gap", "2")
	put(t, pub, "news")
	want(t, sub, "gameover", "1")
	want(t, sub, "gap", "2")
	want(t, sub, "news")
	sub.Unsubscribe("game") // one of two
	sub.Unsubscribe("ga")
	want(t, pub, "\x00ga")
	put(t, pub, "gap", "no")
	put(t, pub, "game", "yes")
	want(t, sub, "game", "yes")
	sub.Unsubscribe("game")
	want(t, pub, "\x00game")
	sub.Close()
	want(t, pub, "\x00news")
	if got := pub.Topics(); len(got) != 0 {
		t.Errorf("topics left: %q", got)
	}
}

// A broker of XSUB and XPUB passes the first subscription and the last unsubscription up, and a publisher
// that comes late, or again, hears of what there is.
func TestBroker(t *testing.T) {
	t.Parallel()
	upper, in := bound(t, zmq4.XSub, zeromq.Options{})
	lower, out := bound(t, zmq4.XPub, zeromq.Options{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- zeromq.Proxy(ctx, upper, lower) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	a, b := dialled(t, zmq4.Sub, zeromq.Options{}, out), dialled(t, zmq4.Sub, zeromq.Options{}, out)
	a.Subscribe("x")
	b.Subscribe("x")
	eventually(t, "x is asked for", func() bool { return len(upper.Topics()) == 1 })
	peers(t, lower, 2)
	for round := range 3 { // late publishers
		pub := dialled(t, zmq4.XPub, zeromq.Options{}, in)
		want(t, pub, "\x01x")
		eventually(t, "both are subscribed", func() bool {
			put(t, pub, "x", fmt.Sprint(round))
			return lower.Peers() == 2
		})
		want(t, a, "x", fmt.Sprint(round))
		want(t, b, "x", fmt.Sprint(round))
		if round == 2 {
			b.Close()
			put(t, pub, "x", "for a")
			want(t, a, "x", "for a")
			a.Unsubscribe("x")
			want(t, pub, "\x00x")
		}
		pub.Close()
	}
}

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	for _, kinds := range [][2]zmq4.SocketType{{zmq4.Push, zmq4.Pull}, {zmq4.Dealer, zmq4.Dealer}} {
		a, urlA := bound(t, kinds[1], zeromq.Options{})
		b, urlB := bound(t, kinds[1], zeromq.Options{})
		s := dialled(t, kinds[0], zeromq.Options{}, urlA, urlB)
		peers(t, s, 2)
		for i := range 10 {
			put(t, s, fmt.Sprint(i), "part")
		}
		for i := range 5 {
			want(t, a, fmt.Sprint(2*i), "part")
			want(t, b, fmt.Sprint(2*i+1), "part")
		}
	}
}

func TestFullPeersAreSkipped(t *testing.T) {
	t.Parallel()
	a, urlA := bound(t, zmq4.Pull, zeromq.Options{})
	s := dialled(t, zmq4.Push, zeromq.Options{SendHWM: 3}, "tcp://127.0.0.1:1", urlA)
	peers(t, s, 1)
	for i := range 100 { // the absent one takes 3
		put(t, s, fmt.Sprint(i))
	}
	for range 97 {
		if _, err := a.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	none := dialled(t, zmq4.Push, zeromq.Options{SendHWM: 2, SendTimeout: 20 * time.Millisecond, Linger: -1}, "tcp://127.0.0.1:1")
	put(t, none, "1")
	put(t, none, "2")
	if err := none.Send(zmq4.NewMsgString("3")); !errors.Is(err, zeromq.ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	immediate := dialled(t, zmq4.Push, zeromq.Options{Immediate: true, SendTimeout: -1}, "tcp://127.0.0.1:1")
	if err := immediate.Send(zmq4.NewMsgString("1")); !errors.Is(err, zeromq.ErrTimeout) {
		t.Errorf("Immediate: got %v, want ErrTimeout", err)
	}
}

func TestReqRepAlternate(t *testing.T) {
	t.Parallel()
	rep, url := bound(t, zmq4.Rep, zeromq.Options{})
	req := dialled(t, zmq4.Req, zeromq.Options{}, url)
	if _, err := req.Recv(); !errors.Is(err, zeromq.ErrState) {
		t.Errorf("REQ received first: %v", err)
	}
	if err := rep.Send(zmq4.NewMsgString("x")); !errors.Is(err, zeromq.ErrState) {
		t.Errorf("REP sent first: %v", err)
	}
	for i := range 3 {
		put(t, req, "a", "", fmt.Sprint(i))
		if err := req.Send(zmq4.NewMsgString("x")); !errors.Is(err, zeromq.ErrState) {
			t.Errorf("REQ sent twice: %v", err)
		}
		want(t, rep, "a", "", fmt.Sprint(i))
		if _, err := rep.Recv(); !errors.Is(err, zeromq.ErrState) {
			t.Errorf("REP received twice: %v", err)
		}
		put(t, rep, "", "b")
		want(t, req, "", "b")
	}
}

func TestRepKeepsEnvelopes(t *testing.T) {
	t.Parallel()
	rep, url := bound(t, zmq4.Rep, zeromq.Options{})
	dealer := dialled(t, zmq4.Dealer, zeromq.Options{}, url)
	put(t, dealer, "no", "delimiter")
	put(t, dealer, "no body", "")
	put(t, dealer, "")
	put(t, dealer, "hop1", "hop2", "", "body", "", "more")
	want(t, rep, "body", "", "more")
	put(t, rep, "answer")
	want(t, dealer, "hop1", "hop2", "", "answer")
}

// A request that is given up is not answered by the answer to it.
func TestReqRelaxed(t *testing.T) {
	t.Parallel()
	router, url := bound(t, zmq4.Router, zeromq.Options{})
	req := dialled(t, zmq4.Req, zeromq.Options{ReqRelaxed: true}, url)
	put(t, req, "first")
	first, err := router.Recv()
	if err != nil {
		t.Fatal(err)
	}
	put(t, req, "second")
	second, err := router.Recv()
	if err != nil {
		t.Fatal(err)
	}
	router.Send(first)
	router.Send(second)
	want(t, req, "second")
}

func TestRouterSocket(t *testing.T) {
	t.Parallel()
	router, url := bound(t, zmq4.Router, zeromq.Options{RouterMandatory: true})
	id := "bin\x00\xff"
	dealer := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: id}, url)
	put(t, dealer, "", "hello")
	want(t, router, id, "", "hello")
	put(t, router, id, "", "back")
	want(t, dealer, "", "back")
	if err := router.Send(zmq4.NewMsgFromString([]string{"nobody", "x"})); !errors.Is(err, zeromq.ErrUnroutable) {
		t.Errorf("got %v, want ErrUnroutable", err)
	}
	r, err := func() (zeromq.Received, error) {
		put(t, dealer, "who am I")
		return router.RecvFrames(context.Background())
	}()
	if err != nil || r.Origin.RoutingID != id || r.Origin.Mechanism != "NULL" || r.Origin.Addr == "" {
		t.Errorf("origin %+v, %v", r.Origin, err)
	}
	lax, url := bound(t, zmq4.Router, zeromq.Options{})
	put(t, lax, "nobody", "x")
	if lax.Dropped() != 1 {
		t.Errorf("%d dropped", lax.Dropped())
	}
	// A ROUTER may dial too.
	caller := dialled(t, zmq4.Router, zeromq.Options{RoutingID: "caller"}, url)
	eventually(t, "the ROUTERs know each other", func() bool { return caller.Peers() == 1 && lax.Peers() == 1 })
	put(t, lax, "caller", "hi")
	m, err := caller.Recv()
	if err != nil || string(m.Frames[1]) != "hi" {
		t.Fatalf("%q, %v", m.Frames, err)
	}
	put(t, caller, string(m.Frames[0]), "ho")
	want(t, lax, "caller", "ho")
}

func TestRouterHandover(t *testing.T) {
	t.Parallel()
	router, url := bound(t, zmq4.Router, zeromq.Options{RouterHandover: true})
	old := rawPeer(t, url[len("tcp://"):], "id")
	peers(t, router, 1)
	newer := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "id"}, url)
	expectClosed(t, old)
	put(t, newer, "x")
	want(t, router, "id", "x")
	put(t, router, "id", "y")
	want(t, newer, "y")

	strict, url := bound(t, zmq4.Router, zeromq.Options{HeartbeatTimeout: patience})
	old = rawPeer(t, url[len("tcp://"):], "id")
	peers(t, strict, 1)
	newer = dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "id"}, url)
	put(t, newer, "waits")
	put(t, strict, "id", "y")
	expectFrame(t, old, 0, "y")
	old.Close()
	want(t, strict, "id", "waits")
}

// Without RouterHandover a newcomer gets a routing id only when its holder does not answer a PING.
func TestRoutingIDOfASilentPeer(t *testing.T) {
	t.Parallel()
	router, url := bound(t, zmq4.Router, zeromq.Options{HeartbeatTimeout: 300 * time.Millisecond})
	down, refused := monitor(t, router, zeromq.PeerDown), monitor(t, router, zeromq.Refused)
	address := url[len("tcp://"):]

	livePeer(t, address, "live")
	peers(t, router, 1)
	for range 3 {
		dialRaw(t, address).Write(hello("DEALER", "live"))
		if e := <-refused; !errors.Is(e.Reason, zeromq.ErrRoutingID) || e.Origin.RoutingID != "live" {
			t.Errorf("refused: %+v because of %v", e.Origin, e.Reason)
		}
	}
	old := dialRaw(t, address) // of ZMTP 3.0, which does not know PING
	words := hello("DEALER", "old")
	words[11] = 0
	old.Write(words)
	peers(t, router, 2)
	dialRaw(t, address).Write(hello("DEALER", "old"))
	if e := <-refused; !errors.Is(e.Reason, zeromq.ErrRoutingID) {
		t.Errorf("refused because of %v", e.Reason)
	}

	silent := rawPeer(t, address, "silent")
	peers(t, router, 3)
	newer := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "silent"}, url)
	if e := <-down; !errors.Is(e.Reason, zeromq.ErrReplaced) || e.Origin.RoutingID != "silent" {
		t.Errorf("down: %+v because of %v", e.Origin, e.Reason)
	}
	expectClosed(t, silent)
	put(t, newer, "x")
	want(t, router, "silent", "x")
	put(t, router, "silent", "y")
	want(t, newer, "y")
	peers(t, router, 3)
}

func TestPair(t *testing.T) {
	t.Parallel()
	a, url := bound(t, zmq4.Pair, zeromq.Options{})
	b := dialled(t, zmq4.Pair, zeromq.Options{}, url)
	put(t, b, "hello")
	want(t, a, "hello")
	third := dialled(t, zmq4.Pair, zeromq.Options{}, url)
	put(t, third, "waits for its turn")
	put(t, a, "for b")
	want(t, b, "for b")
	if err := a.Dial("tcp://127.0.0.1:1"); !errors.Is(err, zeromq.ErrBusy) {
		t.Errorf("a second peer: %v", err)
	}
	b.Close()
	want(t, a, "waits for its turn")
}

func TestWrongTurns(t *testing.T) {
	t.Parallel()
	for _, kind := range []zmq4.SocketType{zmq4.Pub, zmq4.Push} {
		if _, err := newSocket(t, kind, zeromq.Options{}).Recv(); !errors.Is(err, zeromq.ErrUnsupported) {
			t.Errorf("%s receives: %v", kind, err)
		}
	}
	for _, kind := range []zmq4.SocketType{zmq4.Sub, zmq4.Pull} {
		if err := newSocket(t, kind, zeromq.Options{}).Send(zmq4.NewMsgString("x")); !errors.Is(err, zeromq.ErrUnsupported) {
			t.Errorf("%s sends: %v", kind, err)
		}
	}
	if err := newSocket(t, zmq4.Pub, zeromq.Options{}).Subscribe(""); !errors.Is(err, zeromq.ErrUnsupported) {
		t.Errorf("PUB subscribes: %v", err)
	}
	if _, err := zeromq.NewSocket(context.Background(), "FOO", zeromq.Options{}); err == nil {
		t.Error("FOO is a socket type")
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	pull, url := bound(t, zmq4.Pull, zeromq.Options{})
	push := dialled(t, zmq4.Push, zeromq.Options{Linger: patience}, url)
	for i := range 500 {
		put(t, push, fmt.Sprint(i), string(make([]byte, 1000)))
	}
	push.Close() // what is queued arrives
	if err := push.Send(zmq4.NewMsgString("x")); !errors.Is(err, zeromq.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	for i := range 500 {
		want(t, pull, fmt.Sprint(i), string(make([]byte, 1000)))
	}
	blocked := make(chan error, 1)
	go func() {
		_, err := pull.Recv()
		blocked <- err
	}()
	pull.Close()
	if err := <-blocked; !errors.Is(err, zeromq.ErrClosed) {
		t.Errorf("Recv during Close: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := zeromq.NewSocket(ctx, zmq4.Pull, zeromq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Recv(); !errors.Is(err, zeromq.ErrClosed) {
		t.Errorf("Recv after the context: %v", err)
	}
	s.Close()
}
