package zeromq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// The process that binds dies and comes back; ours, which dialled, goes on as if nothing had happened.
func TestDialledPeerIsKilledAndRestarted(t *testing.T) {
	t.Parallel()
	for _, m := range mechanisms {
		for _, p := range pairings {
			if p.a == zmq4.Pub || p.a == zmq4.XPub {
				continue // below
			}
			t.Run(fmt.Sprint(m.name, "/", p.a, "-", p.b), func(t *testing.T) {
				t.Parallel()
				url := "ipc://" + filepath.Join(t.TempDir(), "s")
				a := ourEnd{dialled(t, p.a, zeromq.Options{RoutingID: "steady", Security: m.asks}, url)}
				for round := range 2 {
					b := newPyEnd(t, p.b, "bind", url, m.pyServes...)
					peers(t, a.Socket, 1)
					p.talk(t, a, b, [][]byte{[]byte(fmt.Sprint(round)), []byte("x")})
					b.kill()
					peers(t, a.Socket, 0)
				}
			})
		}
	}
}

// Subscriptions are there again after a publisher's death, and a restarted subscriber brings its own.
func TestPublisherAndSubscriberAreKilledAndRestarted(t *testing.T) {
	t.Parallel()
	for _, m := range mechanisms {
		t.Run(m.name, m.killPublisherAndSubscriber)
	}
}

func (m mechanism) killPublisherAndSubscriber(t *testing.T) {
	t.Parallel()
	url := "ipc://" + filepath.Join(t.TempDir(), "s")
	sub := dialled(t, zmq4.Sub, zeromq.Options{Security: m.asks}, url)
	sub.Subscribe("topic")
	for round := range 2 {
		pub := newPyEnd(t, zmq4.XPub, "bind", url, m.pyServes...)
		same(t, pub.recv(t), [][]byte{[]byte("\x01topic")})
		pub.send(t, [][]byte{[]byte("topical"), []byte(fmt.Sprint(round))})
		want(t, sub, "topical", fmt.Sprint(round))
		pub.kill()
	}
	xpub, at := bound(t, zmq4.XPub, zeromq.Options{Security: m.serves})
	for range 2 {
		py := newPyEnd(t, zmq4.Sub, "connect", at, m.pyAsks...)
		py.subscribe(t, "a")
		want(t, xpub, "\x01a")
		put(t, xpub, "ab")
		same(t, py.recv(t), [][]byte{[]byte("ab")})
		py.kill()
		want(t, xpub, "\x00a")
	}
}

// Ours binds, goes and comes back on the same port; libzmq's peers find it again.
func TestOursIsRestarted(t *testing.T) {
	t.Parallel()
	for _, m := range mechanisms {
		t.Run(m.name, m.restartOurs)
	}
}

func (m mechanism) restartOurs(t *testing.T) {
	t.Parallel()
	url := "ipc://" + filepath.Join(t.TempDir(), "s")
	dealer := newPyEnd(t, zmq4.Dealer, "connect", url, append(m.pyAsks, "ROUTING_ID=hex:00ff01")...)
	req := newPyEnd(t, zmq4.Req, "connect", url, m.pyAsks...)
	for range 3 {
		router := newSocket(t, zmq4.Router, zeromq.Options{Security: m.serves})
		if err := router.Listen(url); err != nil {
			t.Fatal(err)
		}
		dealer.send(t, [][]byte{[]byte("hi")})
		want(t, router, "\x00\xff\x01", "hi")
		req.send(t, [][]byte{[]byte("question")})
		m, err := router.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if err := router.Send(m); err != nil {
			t.Fatal(err)
		}
		same(t, req.recv(t), [][]byte{[]byte("question")})
		router.Close()
	}
}

// libzmq beats every 300 ms and hangs up on whoever is silent for 10 s: for a minute nobody is. All connections wait
// out the same minute.
func TestHeartbeatsOfLibzmq(t *testing.T) {
	t.Parallel()
	beats := []string{"HEARTBEAT_IVL=300", "HEARTBEAT_TIMEOUT=10000", "HEARTBEAT_TTL=20000"}
	ours := zeromq.Options{HeartbeatInterval: 300 * time.Millisecond, HeartbeatTimeout: 10 * time.Second, HeartbeatTTL: 20 * time.Second}
	type connection struct {
		name string
		p    pairing
		a    end
		b    *pyEnd
	}
	var all []connection
	for _, m := range mechanisms {
		ours.Security = m.serves
		for i, p := range pairings {
			if m.name != "NULL" && i > 0 && p.b != zmq4.Sub {
				continue
			}
			s, url := bound(t, p.a, ours)
			c := connection{fmt.Sprint(m.name, " ", p.a, "-", p.b), p, ourEnd{s}, newPyEnd(t, p.b, "connect", url, append(beats, m.pyAsks...)...)}
			p.meet(t, c.a, c.b)
			p.talk(t, c.a, c.b, [][]byte{[]byte("before")})
			all = append(all, c)
		}
	}
	k := newKeys()
	r := startRouter(t, zeromq.RouterConfig{HeartbeatInterval: 300 * time.Millisecond, HeartbeatTimeout: 10 * time.Second, Security: k.serves()}, echo)
	dealer := newPyEnd(t, zmq4.Dealer, "connect", r.url, append(beats, k.askOptions()...)...)
	router := newPyEnd(t, zmq4.Router, "bind", "tcp://127.0.0.1:*", append(beats, k.serveOptions()...)...)
	d, _ := startDealer(t, zeromq.DealerConfig{Endpoint: router.url, HeartbeatInterval: 300 * time.Millisecond, HeartbeatTimeout: 10 * time.Second, Security: k.asks()})
	high := func(word string) {
		dealer.send(t, [][]byte{[]byte(word)})
		same(t, dealer.recv(t), [][]byte{[]byte(word)})
		send(t, d, word)
		router.dof(t, "echo")
		same(t, receive(t, d), [][]byte{[]byte(word)})
	}
	high("before")
	<-time.After(time.Minute) // nothing else is said
	high("after")
	for len(r.events) > 0 {
		if e := <-r.events; e.Kind != zeromq.PeerUp {
			t.Errorf("Router: %v: %v", e.Kind, e.Reason)
		}
	}
	for _, c := range append(all, connection{name: "CURVE Router", b: dealer}, connection{name: "CURVE Dealer", b: router}) {
		if c.a != nil {
			c.p.talk(t, c.a, c.b, [][]byte{[]byte("after")})
		}
		c.b.dof(t, "lost")
		if got := c.b.line(t); got != "0 0" {
			t.Errorf("%s: connections lost, refused: %s", c.name, got)
		}
	}
}

// A peer that is stopped is missed after the time to live it announced, or when it does not answer.
func TestSilentPeersAreMissed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts    zeromq.Options
		options []string
	}{
		"its own TTL":    {options: []string{"HEARTBEAT_IVL=200", "HEARTBEAT_TTL=600", "HEARTBEAT_TIMEOUT=60000"}},
		"our heartbeats": {opts: zeromq.Options{HeartbeatInterval: 100 * time.Millisecond, HeartbeatTimeout: 500 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := bound(t, zmq4.Router, c.opts)
			down := monitor(t, s, zeromq.PeerDown)
			py := newPyEnd(t, zmq4.Dealer, "connect", url, c.options...)
			py.send(t, [][]byte{[]byte("x")})
			if _, err := s.Recv(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second) // a PING has told the TTL
			py.cmd.Process.Signal(syscall.SIGSTOP)
			select {
			case e := <-down:
				if !errors.Is(e.Reason, zeromq.ErrSilent) {
					t.Errorf("lost because of %v", e.Reason)
				}
			case <-time.After(patience):
				t.Error("never missed")
			}
		})
	}
}

// monitor collects events of one kind.
func monitor(t testing.TB, s *zeromq.Socket, kind zeromq.EventKind) <-chan zeromq.MonitorEvent {
	t.Helper()
	events := make(chan zeromq.MonitorEvent, 1000)
	sub := s.Monitor().Subscribe(context.Background(), func(e zeromq.MonitorEvent) {
		if e.Kind == kind {
			select {
			case events <- e:
			default:
			}
		}
	}, nil, nil)
	t.Cleanup(func() {
		sub.Dispose()
		<-sub.Done()
	})
	return events
}

// A stopped process never delays another: what is for it waits up to SendHWM, then its socket's policy holds
// and is counted. When it is continued it goes on.
func TestStoppedPeersDelayNobody(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("x"), 10_000)
	t.Run("SUB misses what is beyond", func(t *testing.T) {
		t.Parallel()
		pub, url := bound(t, zmq4.XPub, zeromq.Options{SendHWM: 100})
		stuck := newPyEnd(t, zmq4.Sub, "connect", url)
		stuck.subscribe(t, "")
		want(t, pub, "\x01")
		live := dialled(t, zmq4.Sub, zeromq.Options{}, url)
		live.Subscribe("x")
		want(t, pub, "\x01x")
		trip := func() {
			put(t, pub, "x", string(body))
			want(t, live, "x", string(body))
		}
		undelayed(t, stuck, 1500, trip, func() uint64 { return pub.Stats().Dropped })
		if pub.Peers() != 2 {
			t.Error("the stopped SUB was disconnected")
		}
		put(t, pub, "x", "hello again")
		for i := 0; string(stuck.recv(t)[1]) != "hello again"; i++ {
			if i%50 == 0 { // it may have been full still
				put(t, pub, "x", "hello again")
			}
		}
	})
	t.Run("DEALER makes RouterMandatory fail", func(t *testing.T) {
		t.Parallel()
		router, url := bound(t, zmq4.Router, zeromq.Options{SendHWM: 100, RouterMandatory: true})
		stuck := newPyEnd(t, zmq4.Dealer, "connect", url, "ROUTING_ID=hex:ff")
		stuck.send(t, [][]byte{[]byte("x")})
		want(t, router, "\xff", "x")
		live := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "live"}, url)
		var full uint64
		trip := func() {
			err := router.Send(zmq4.NewMsgFrom([]byte("\xff"), body))
			if errors.Is(err, zeromq.ErrFull) {
				full++
			} else if err != nil {
				t.Fatal(err)
			}
			put(t, live, "ping")
			want(t, router, "live", "ping")
			put(t, router, "live", "pong")
			want(t, live, "pong")
		}
		undelayed(t, stuck, 3000, trip, func() uint64 { return router.Stats().Full })
		if got := router.Stats(); got.Full != full || got.Dropped != 0 {
			t.Errorf("%d Sends failed: %+v", full, got)
		}
		eventually(t, "its queue has room", func() bool {
			return router.Send(zmq4.NewMsgFromString([]string{"\xff", "hello again"})) == nil
		})
		for string(stuck.recv(t)[0]) != "hello again" {
		}
	})
	t.Run("DEALER is closed by a Router", func(t *testing.T) {
		t.Parallel()
		r := startRouter(t, zeromq.RouterConfig{QueueMessages: 100, HeartbeatInterval: -1}, echo)
		stuck := newPyEnd(t, zmq4.Dealer, "connect", r.url, "ROUTING_ID=hex:ff")
		stuck.send(t, [][]byte{[]byte("x")})
		same(t, stuck.recv(t), [][]byte{[]byte("x")})
		live := rawPeer(t, r.address(), "live")
		trip := func() {
			switch err := r.Send("\xff", body); {
			case err == nil, errors.Is(err, zeromq.ErrFull), errors.Is(err, zeromq.ErrClosed), errors.Is(err, zeromq.ErrUnroutable):
			default:
				t.Fatal(err)
			}
			echoes(t, live)
		}
		undelayed(t, stuck, 3000, trip, func() uint64 { return r.Stats().Overflows })
		eventually(t, "it is back", func() bool { return r.Send("\xff", []byte("hello again")) == nil })
		for string(stuck.recv(t)[0]) != "hello again" {
		}
	})
	t.Run("REQ gets its answer late", func(t *testing.T) {
		t.Parallel()
		rep, url := bound(t, zmq4.Rep, zeromq.Options{})
		stuck := newPyEnd(t, zmq4.Req, "connect", url)
		stuck.send(t, [][]byte{[]byte("and then silence")})
		want(t, rep, "and then silence")
		live := dialled(t, zmq4.Req, zeromq.Options{}, url)
		answer := bytes.Repeat(body, 1000) // more than the kernel's buffers
		first := true
		trip := func() {
			if first {
				put(t, rep, string(answer))
				first = false
			}
			put(t, live, "q")
			want(t, rep, "q")
			put(t, rep, "a")
			want(t, live, "a")
		}
		undelayed(t, stuck, 1000, trip, nil)
		same(t, stuck.recv(t), [][]byte{answer})
	})
	t.Run("asker that reads no answers", func(t *testing.T) { // a REQ that misbehaves
		t.Parallel()
		rep, url := bound(t, zmq4.Rep, zeromq.Options{SendHWM: 10})
		stuck := newPyEnd(t, zmq4.Dealer, "connect", url)
		live := dialled(t, zmq4.Req, zeromq.Options{}, url)
		answer := string(bytes.Repeat(body, 100))
		for range 100 {
			stuck.send(t, [][]byte{{}, []byte("question")})
		}
		eventually(t, "all are asked", func() bool { return rep.Stats().In == 100 })
		want(t, rep, "question")
		stuck.cmd.Process.Signal(syscall.SIGSTOP)
		for range 99 {
			put(t, rep, answer)
			want(t, rep, "question")
		}
		put(t, rep, answer)
		for range 200 {
			put(t, live, "q")
			want(t, rep, "q")
			put(t, rep, "a")
			want(t, live, "a")
		}
		if got := rep.Stats(); got.Full == 0 || got.Full != got.Dropped {
			t.Errorf("%+v", got)
		}
		stuck.cmd.Process.Signal(syscall.SIGCONT)
		same(t, stuck.recv(t), [][]byte{{}, []byte(answer)})
	})
	t.Run("PULL is passed over", func(t *testing.T) {
		t.Parallel()
		push, url := bound(t, zmq4.Push, zeromq.Options{SendHWM: 10})
		stuck := newPyEnd(t, zmq4.Pull, "connect", url, "RCVHWM=10")
		peers(t, push, 1)
		live := dialled(t, zmq4.Pull, zeromq.Options{}, url)
		peers(t, push, 2)
		over, cancel := context.WithCancel(context.Background())
		cancel()
		trip := func() { // one of two goes to the live one, later each
			for range 2 {
				put(t, push, "x", string(body))
			}
			_, err := live.RecvFrames(context.Background()) //nolint:contextcheck // over is not for waiting
			if err != nil {
				t.Fatal(err)
			}
			for err == nil { // and all else that is there
				_, err = live.RecvFrames(over)
			}
		}
		undelayed(t, stuck, 1500, trip, func() uint64 { return push.Stats().Full })
		if got := push.Stats(); got.Dropped != 0 {
			t.Errorf("%+v", got)
		}
		same(t, stuck.recv(t), [][]byte{[]byte("x"), body})
	})
}

// undelayed stops a process, makes n round trips between others, checks that none of them took noticeably
// longer and that the policy was needed, and continues the process.
func undelayed(t *testing.T, stuck *pyEnd, n int, trip func(), policy func() uint64) {
	t.Helper()
	p99 := func(n int) time.Duration {
		var took []time.Duration
		for range n {
			began := time.Now()
			trip()
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	calm := p99(50)
	var already uint64
	if policy != nil {
		already = policy()
	}
	stuck.cmd.Process.Signal(syscall.SIGSTOP)
	stopped := p99(n)
	stuck.cmd.Process.Signal(syscall.SIGCONT)
	t.Logf("p99 of a round trip of the others: %v before, %v beside a stopped process", calm, stopped)
	if stopped > 10*calm+250*time.Millisecond {
		t.Errorf("p99 of a round trip of the others: %v before, %v beside a stopped process", calm, stopped)
	}
	if policy != nil && policy() == already {
		t.Error("the stopped peer's queue was never full")
	}
}

// A receiver that does not receive stops its senders, within their limits, and loses nothing.
func TestHighWaterMarksHoldBack(t *testing.T) {
	t.Parallel()
	pull, url := bound(t, zmq4.Pull, zeromq.Options{RecvHWM: 10})
	push := dialled(t, zmq4.Push, zeromq.Options{SendHWM: 10, SendTimeout: 300 * time.Millisecond}, url)
	body := make([]byte, 1<<20)
	sent := 0
	for ; sent < 1000; sent++ {
		if err := push.SendFrames(timeout(t, 300*time.Millisecond), []byte(fmt.Sprint(sent)), body); err != nil {
			break
		}
	}
	if sent < 20 || sent == 1000 {
		t.Fatalf("%d messages were taken", sent)
	}
	for i := range sent {
		m, err := pull.Recv()
		if err != nil || string(m.Frames[0]) != fmt.Sprint(i) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func timeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestManyPeersAreServedInTurn(t *testing.T) {
	t.Parallel()
	const senders, each = 10, 200
	pull, url := bound(t, zmq4.Pull, zeromq.Options{RecvHWM: each})
	for i := range senders {
		s := dialled(t, zmq4.Push, zeromq.Options{}, url)
		for j := range each {
			put(t, s, fmt.Sprint(i), fmt.Sprint(j))
		}
	}
	peers(t, pull, senders)
	last := map[string]int{}
	for range senders * each {
		m, err := pull.Recv()
		if err != nil {
			t.Fatal(err)
		}
		from := string(m.Frames[0])
		if got := string(m.Frames[1]); got != fmt.Sprint(last[from]) {
			t.Fatalf("from %s: %s after %d", from, got, last[from]-1)
		}
		last[from]++
	}
}
