package agents_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
	"github.com/agentmesh/agentmesh/observables"
)

// loose is an agent without a broker.
func loose(name string) agents.Config {
	return agents.Config{Name: name, Redis: agents.NoBroker, DrainWithin: patience}
}

// loner runs an agent that is no part of a mesh.
func loner(tb testing.TB, name string) *running {
	tb.Helper()
	return run(tb, loose(name), nil)
}

func bind(tb testing.TB, a *running, kind zeromq.SocketType, endpoint string) *agents.Socket {
	tb.Helper()
	return must(a.Bind(agents.SocketConfig{Type: kind, Endpoint: endpoint}))(tb)
}

func connect(tb testing.TB, a *running, kind zeromq.SocketType, endpoint string) *agents.Socket {
	tb.Helper()
	return must(a.Connect(agents.SocketConfig{Type: kind, Endpoint: endpoint}))(tb)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// tap subscribes; next waits for the next item.
func tap[T any](tb testing.TB, s observables.Stream[T]) (next func() T) {
	tb.Helper()
	items, sub := s.ToChan(context.Background(), 1000, nil)
	tb.Cleanup(func() {
		sub.Dispose()
		<-sub.Done()
	})
	return func() T {
		tb.Helper()
		select {
		case v, ok := <-items:
			if !ok {
				tb.Fatalf("the stream has ended: %v", sub.Err())
			}
			return v
		case <-time.After(patience):
			tb.Fatal("nothing arrives")
		}
		panic("unreachable")
	}
}

func words(m zeromq.Received) string {
	var all []string
	for _, f := range m.Frames {
		all = append(all, string(f))
	}
	return strings.Join(all, "|")
}

func frames(words ...string) [][]byte {
	var all [][]byte
	for _, w := range words {
		all = append(all, []byte(w))
	}
	return all
}

// python is a peer.py process that ends with the test.
type python struct {
	lines *bufio.Scanner
	stdin io.Writer
}

func startPython(tb testing.TB, args ...string) *python {
	tb.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"testdata/peer.py"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	var stderr logs
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		tb.Fatalf("%v; apt-get install python3-zmq", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("python says %q; if it cannot import zmq: apt-get install python3-zmq", stderr.String())
		}
	})
	return &python{bufio.NewScanner(out), in}
}

func (p *python) says(tb testing.TB, want string) {
	tb.Helper()
	if !p.lines.Scan() {
		tb.Fatalf("python has ended (%v), want %q", p.lines.Err(), want)
	}
	if got := p.lines.Text(); got != want {
		tb.Fatalf("python says %q, want %q", got, want)
	}
}

// TestSocketOfEachType: what one end sends, the other has in its observable, over tcp and inproc.
func TestSocketOfEachType(t *testing.T) {
	t.Parallel()
	a := loner(t, "types")
	for _, endpoint := range []string{"tcp://127.0.0.1:0", "inproc://types"} {
		for _, kinds := range [][2]zeromq.SocketType{
			{zeromq.PULL, zeromq.PUSH}, {zeromq.PAIR, zeromq.PAIR}, {zeromq.DEALER, zeromq.DEALER}, {zeromq.REP, zeromq.REQ},
		} {
			name := fmt.Sprint(kinds, endpoint)
			in := bind(t, a, kinds[0], endpoint)
			out := connect(t, a, kinds[1], in.Addrs()[0])
			next := tap(t, in.Messages())
			for i := range 3 {
				text := fmt.Sprint(i)
				if err := out.Send(frames("a", "", text)...); err != nil {
					t.Fatal(name, err)
				}
				if got := words(next()); got != "a||"+text {
					t.Errorf("%s: got %q", name, got)
				}
				if kinds[0] == zeromq.PULL {
					continue
				}
				back := tap(t, out.Messages())
				if err := in.Send(frames("re", text)...); err != nil {
					t.Fatal(name, err)
				}
				if got := words(back()); got != "re|"+text {
					t.Errorf("%s: back came %q", name, got)
				}
			}
			out.Close()
			in.Close()
			if err := out.Send(frames("late")...); !errors.Is(err, zeromq.ErrClosed) {
				t.Errorf("%s: Send after Close: %v", name, err)
			}
		}
	}
	push := connect(t, a, zeromq.PUSH, "inproc://nobody")
	ended := push.Messages().Subscribe(t.Context(), nil, nil, nil)
	<-ended.Done()
	if !errors.Is(ended.Err(), zeromq.ErrUnsupported) {
		t.Errorf("the messages of a PUSH end with %v", ended.Err())
	}
}

// TestRouterSocket: a ROUTER socket sees who sent and answers by routing id; PUB reaches the topics that are
// subscribed to.
func TestRouterSocket(t *testing.T) {
	t.Parallel()
	a := loner(t, "router")
	router := bind(t, a, zeromq.ROUTER, "tcp://127.0.0.1:0")
	arrive := tap(t, router.Messages())
	for _, name := range []string{"ann", "bob"} {
		dealer := must(a.Connect(agents.SocketConfig{
			Type: zeromq.DEALER, Endpoint: router.Addrs()[0], Options: zeromq.Options{RoutingID: name},
		}))(t)
		if err := dealer.Send(frames("hello")...); err != nil {
			t.Fatal(err)
		}
		m := arrive()
		if got := words(m); got != name+"|hello" || m.Origin.RoutingID != name || m.Origin.Addr == "" {
			t.Errorf("got %q from %+v", got, m.Origin)
		}
		if err := router.Send(m.Frames[0], []byte("and you")); err != nil {
			t.Fatal(err)
		}
		if got := words(tap(t, dealer.Messages())()); got != "and you" {
			t.Errorf("%s got %q", name, got)
		}
	}

	pub := bind(t, a, zeromq.PUB, "inproc://news")
	sub := must(a.Connect(agents.SocketConfig{Type: zeromq.SUB}))(t) // no endpoint yet: no event is missed
	up := tap(t, pub.Events())
	if err := errors.Join(sub.Subscribe("game"), sub.Connect("inproc://news")); err != nil {
		t.Fatal(err)
	}
	if e := up(); e.Kind != zeromq.PeerUp {
		t.Errorf("the first event is %v", e.Kind)
	}
	heard := tap(t, sub.Messages())
	got := make(chan string, 1)
	go func() { got <- words(heard()) }()
	eventually(t, "a publication arrives", func() bool { // the subscription takes a moment to come up
		if err := errors.Join(pub.Send(frames("other", "1")...), pub.Send(frames("game.1", "2")...)); err != nil {
			t.Error(err)
		}
		return len(got) == 1
	})
	if m := <-got; m != "game.1|2" {
		t.Errorf("heard %q", m)
	}
}

// TestPythonAsksGo: a pyzmq REQ asks a REP that was bound in a module's Setup.
func TestPythonAsksGo(t *testing.T) {
	t.Parallel()
	var rep *agents.Socket
	run(t, loose("echo"), func(a *agents.Agent) {
		a.Use(agents.Module{Name: "echo", Setup: func(ctx context.Context, a *agents.Agent) (err error) {
			rep, err = a.Bind(agents.SocketConfig{Type: zeromq.REP, Endpoint: "tcp://127.0.0.1:0"})
			if err == nil {
				rep.Messages().Subscribe(ctx, func(m zeromq.Received) { _ = rep.Send(m.Frames...) }, nil, nil)
			}
			return err
		}})
	})
	p := startPython(t, "ask", rep.Addrs()[0], "one", "two", "")
	p.says(t, "[b'one', b'', b'one']")
	p.says(t, "[b'two', b'', b'two']")
	p.says(t, "[b'', b'', b'']")
}

// TestSendInSetup: what is sent while the agent is set up waits for a peer that comes later, also one that
// belongs to an agent that starts later.
func TestSendInSetup(t *testing.T) {
	t.Parallel()
	const n = 500
	first := loner(t, "late")
	pull := must(first.Bind(agents.SocketConfig{Type: zeromq.PULL, Endpoint: "tcp://127.0.0.1:0"}))(t)
	run(t, loose("early"), func(a *agents.Agent) {
		a.Use(agents.Module{Name: "sender", Setup: func(_ context.Context, a *agents.Agent) error {
			push, err := a.Connect(agents.SocketConfig{Type: zeromq.PUSH, Endpoint: pull.Addrs()[0]})
			for i := 0; i < n && err == nil; i++ {
				err = push.Send(fmt.Append(nil, i))
			}
			return err
		}})
	})
	next := tap(t, pull.Messages()) // only now: until then they waited in the sockets
	for i := range n {
		if got := words(next()); got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

// TestFlushedAtTheEnd: what was sent, in Shutdown last, reaches its peer although the agent ends.
func TestFlushedAtTheEnd(t *testing.T) {
	t.Parallel()
	const n = 500
	stays := loner(t, "stays")
	pull := bind(t, stays, zeromq.PULL, "tcp://127.0.0.1:0")
	next := tap(t, pull.Messages())
	var push *agents.Socket
	goes := run(t, loose("goes"), func(a *agents.Agent) {
		a.Use(agents.Module{
			Setup: func(_ context.Context, a *agents.Agent) (err error) {
				push, err = a.Connect(agents.SocketConfig{Type: zeromq.PUSH, Endpoint: pull.Addrs()[0]})
				return err
			},
			Shutdown: func(context.Context) {
				for i := range n {
					if err := push.Send(fmt.Append(nil, i)); err != nil {
						t.Errorf("Send in Shutdown: %v", err)
					}
				}
			},
		})
	})
	if err := goes.stop(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if got := words(next()); got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

// TestCloseWhileEverybodySends: senders on many goroutines, some of them waiting for room, all get ErrClosed
// when the agent ends, and nothing is left behind.
func TestCloseWhileEverybodySends(t *testing.T) {
	t.Parallel()
	for _, peer := range []bool{true, false} {
		a := loner(t, "closing")
		pull := bind(t, a, zeromq.PULL, "tcp://127.0.0.1:0")
		at := pull.Addrs()[0]
		if peer {
			pull.Messages().Subscribe(context.Background(), nil, nil, nil)
		} else {
			at = "inproc://nobody" // nobody is ever there: senders wait for room
		}
		push := connect(t, a, zeromq.PUSH, at)
		var sent atomic.Int64
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() {
				for {
					err := push.Send(frames("x", "y")...)
					if errors.Is(err, zeromq.ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("Send: %v", err)
						return
					}
					sent.Add(1)
				}
			})
		}
		eventually(t, "1000 messages are sent", func() bool { return sent.Load() >= 1000 })
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		senders.Wait()
		if _, err := a.Bind(agents.SocketConfig{Type: zeromq.PULL, Endpoint: "tcp://127.0.0.1:0"}); !errors.Is(err, agents.ErrStopped) {
			t.Errorf("Bind after the end: %v", err)
		}
	}
}

// TestSlowSubscriberHoldsTheSender: nothing is lost and nothing piles up: the sender waits.
func TestSlowSubscriberHoldsTheSender(t *testing.T) {
	t.Parallel()
	const n = 20000
	a := loner(t, "slow")
	pull := must(a.Bind(agents.SocketConfig{
		Type: zeromq.PULL, Endpoint: "inproc://slow", Buffer: 10, Options: zeromq.Options{RecvHWM: 10},
	}))(t)
	push := must(a.Connect(agents.SocketConfig{
		Type: zeromq.PUSH, Endpoint: "inproc://slow", Options: zeromq.Options{SendHWM: 10, SendTimeout: 50 * time.Millisecond},
	}))(t)
	hold := make(chan struct{})
	var got atomic.Int64
	pull.Messages().Subscribe(t.Context(), func(zeromq.Received) {
		<-hold
		got.Add(1)
	}, nil, nil)
	sent := int64(0)
	full := func() bool {
		err := push.Send(make([]byte, 1000))
		if err != nil && !errors.Is(err, zeromq.ErrTimeout) {
			t.Fatal(err)
		}
		if err == nil {
			sent++
		}
		return err != nil
	}
	for !full() && sent < n {
	}
	if sent == n {
		t.Fatalf("%d messages were taken for a subscriber that takes none", sent)
	}
	close(hold)
	for range 1000 {
		full()
	}
	eventually(t, "all arrive", func() bool { return got.Load() == sent })
}

// TestSubscribersComeAndGo: each gets what arrives while it is there, and while there is none messages wait.
func TestSubscribersComeAndGo(t *testing.T) {
	t.Parallel()
	a := loner(t, "hot")
	pull := bind(t, a, zeromq.PULL, "inproc://hot")
	push := connect(t, a, zeromq.PUSH, "inproc://hot")
	send := func(text string) {
		t.Helper()
		if err := push.Send([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	send("before anybody listens")
	first := tap(t, pull.Messages())
	if got := words(first()); got != "before anybody listens" {
		t.Fatalf("the first subscriber got %q", got)
	}
	second := tap(t, pull.Messages())
	send("to both")
	if a, b := words(first()), words(second()); a != "to both" || b != "to both" {
		t.Fatalf("they got %q and %q", a, b)
	}
}

// TestHeldUpBySubscriber: a handler that does not return holds the agent up for DrainWithin, no longer, and
// the log names the agent and the socket.
func TestHeldUpBySubscriber(t *testing.T) {
	t.Parallel()
	cfg := loose("held-up")
	cfg.DrainWithin = 200 * time.Millisecond
	a := run(t, cfg, nil)
	pull := must(a.Bind(agents.SocketConfig{Type: zeromq.PULL, Endpoint: "inproc://x", Buffer: 1}))(t)
	push := must(a.Connect(agents.SocketConfig{
		Type: zeromq.PUSH, Endpoint: "inproc://x", Options: zeromq.Options{SendTimeout: 100 * time.Millisecond, Linger: -1},
	}))(t)
	release := make(chan struct{})
	sub := pull.Messages().Subscribe(context.Background(), func(zeromq.Received) { <-release }, nil, nil)
	for push.Send([]byte("x")) == nil { // until everything is full, so that the reader waits
	}
	if err := a.stop(); err != nil {
		t.Error(err)
	}
	if log := a.logs.String(); !strings.Contains(log, "agent=held-up") || !strings.Contains(log, "socket=PULL") {
		t.Errorf("the log does not say who holds the agent up:\n%s", log)
	}
	close(release)
	<-sub.Done()
}

// TestOpenedOutOfTime: before Run there is nothing to open sockets in; what cannot be bound says why and
// leaves nothing.
func TestOpenedOutOfTime(t *testing.T) {
	t.Parallel()
	early, err := agents.New(loose("early"))
	if err != nil {
		t.Fatal(err)
	}
	tries := map[string]func(a *agents.Agent) error{
		"Bind": func(a *agents.Agent) error {
			_, err := a.Bind(agents.SocketConfig{Type: zeromq.REP, Endpoint: "tcp://127.0.0.1:0"})
			return err
		},
		"Client": func(a *agents.Agent) error {
			_, err := a.Client(agents.ClientConfig{Endpoint: "tcp://127.0.0.1:1"})
			return err
		},
		"Router": func(a *agents.Agent) error {
			_, err := a.Router(zeromq.RelayConfig{Bind: []string{"tcp://127.0.0.1:0"}})
			return err
		},
		"NotificationBroker": func(a *agents.Agent) error {
			_, err := a.NotificationBroker(zeromq.BrokerConfig{Pub: []string{"tcp://127.0.0.1:0"}, Sub: []string{"tcp://127.0.0.1:0"}})
			return err
		},
		"NotificationClient": func(a *agents.Agent) error {
			_, err := a.NotificationClient(agents.NotificationConfig{Publish: "tcp://127.0.0.1:1", Subscribe: "tcp://127.0.0.1:1"})
			return err
		},
	}
	ended := loner(t, "ended")
	_ = ended.stop()
	for name, try := range tries {
		if err := try(early); !errors.Is(err, agents.ErrNotRunning) {
			t.Errorf("%s before Run: %v", name, err)
		}
		if err := try(ended.Agent); !errors.Is(err, agents.ErrStopped) {
			t.Errorf("%s after Run: %v", name, err)
		}
	}

	a := loner(t, "refusing")
	taken := bind(t, a, zeromq.PULL, "tcp://127.0.0.1:0").Addrs()[0]
	for want, try := range map[string]func() error{
		"in use": func() error {
			_, err := a.Bind(agents.SocketConfig{Type: zeromq.REP, Endpoint: taken})
			return err
		},
		"address already in use": func() error {
			_, err := a.Router(zeromq.RelayConfig{Bind: []string{taken}})
			return err
		},
		"already in use": func() error {
			_, err := a.NotificationBroker(zeromq.BrokerConfig{Pub: []string{"tcp://127.0.0.1:0"}, Sub: []string{taken}})
			return err
		},
		"unknown socket type": func() error { _, err := a.Bind(agents.SocketConfig{Type: "STREAM"}); return err },
		"Buffer":              func() error { _, err := a.Bind(agents.SocketConfig{Type: zeromq.REP, Buffer: -1}); return err },
		"RoutingID": func() error {
			_, err := a.Connect(agents.SocketConfig{Type: zeromq.REQ, Options: zeromq.Options{RoutingID: strings.Repeat("x", 256)}})
			return err
		},
		"transport": func() error {
			_, err := a.Connect(agents.SocketConfig{Type: zeromq.REQ, Endpoint: "udp://x"})
			return err
		},
		"Endpoint": func() error { _, err := a.Client(agents.ClientConfig{}); return err },
		"Name": func() error {
			_, err := a.Client(agents.ClientConfig{Name: "\x00x", Endpoint: "tcp://x:1"})
			return err
		},
		"neither": func() error { _, err := a.NotificationClient(agents.NotificationConfig{}); return err },
		"without Subscribe": func() error {
			_, err := a.NotificationClient(agents.NotificationConfig{Publish: taken, Topics: []string{"x"}})
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
}

// TestWithoutBroker: an agent without a broker starts none, and says so to what needs one.
func TestWithoutBroker(t *testing.T) {
	t.Parallel()
	alone := loose("alone")
	alone.Metrics = "127.0.0.1:0"
	a := run(t, alone, nil)
	a.metrics(t)
	if a.at.Redis != "" || a.Sessions() != nil || strings.Contains(a.logs.String(), "embedded") {
		t.Errorf("there is a broker at %q:\n%s", a.at.Redis, a.logs)
	}
	for name, audience := range map[string]agents.Audience{"room": a.Room("r"), "user": a.User("u"), "all": a.Everyone()} {
		if err := audience.Send(t.Context(), &message.Message{Text: "x"}); !errors.Is(err, agents.ErrNoBroker) {
			t.Errorf("Send to %s: %v", name, err)
		}
	}
	for name, cfg := range map[string]agents.Config{
		"ZeroMQ": {Redis: agents.NoBroker, ZeroMQ: []string{"tcp://127.0.0.1:0"}},
		"HTTP":   {Redis: agents.NoBroker, HTTP: "127.0.0.1:0"},
	} {
		if _, err := agents.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s without a broker: %v", name, err)
		}
	}
	handles, err := agents.New(loose("handles"))
	if err != nil {
		t.Fatal(err)
	}
	handles.Handle("Job", nil)
	if err := handles.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Job") {
		t.Errorf("Run with a handler and no broker: %v", err)
	}
}

// TestCurveSocket: the user id that the authenticator gives stands on each message; a stranger is refused
// and both ends hear of it.
func TestCurveSocket(t *testing.T) {
	t.Parallel()
	serverPublic, serverSecret := curve.GenerateKeyPair()
	annPublic, annSecret := curve.GenerateKeyPair()
	a := loner(t, "curve")
	server := must(a.Bind(agents.SocketConfig{
		Type: zeromq.PULL,
		Options: zeromq.Options{Security: zeromq.Security{CurveServer: &zeromq.CurveServer{
			Secret: serverSecret,
			Authorise: func(_ context.Context, r curve.Request) (string, error) {
				if r.ClientKey != annPublic {
					return "", errors.New("a stranger")
				}
				return "ann", nil
			},
		}}},
	}))(t)
	events := tap(t, server.Events())
	if err := server.Bind("tcp://127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	at := server.Addrs()[0]
	open := func(secret curve.SecretKey) *agents.Socket {
		t.Helper()
		s := must(a.Connect(agents.SocketConfig{
			Type:    zeromq.PUSH,
			Options: zeromq.Options{Security: zeromq.Security{CurveClient: &zeromq.CurveClient{Server: serverPublic, Secret: secret}}},
		}))(t)
		return s
	}
	stranger := open(curve.SecretKey{})
	told := tap(t, stranger.Events())
	if err := stranger.Connect(at); err != nil {
		t.Fatal(err)
	}
	if e := events(); e.Kind != zeromq.Refused {
		t.Errorf("the server saw %v", e.Kind)
	}
	if e := told(); e.Kind != zeromq.Refused {
		t.Errorf("the stranger saw %v", e.Kind)
	}
	ann := open(annSecret)
	if err := errors.Join(ann.Connect(at), ann.Send([]byte("hello"))); err != nil {
		t.Fatal(err)
	}
	if m := tap(t, server.Messages())(); m.Origin.UserID != "ann" || m.Origin.Mechanism != "CURVE" || words(m) != "hello" {
		t.Errorf("got %q from %+v", words(m), m.Origin)
	}
}
