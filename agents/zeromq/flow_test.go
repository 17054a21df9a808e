package zeromq_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

func TestTooLargeIsSkippedAndReported(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{MaxMessage: 1000}, func(m zeromq.Message) {
		if m.TooLarge {
			m.Frames = [][]byte{[]byte("too large")}
		}
		echo(m)
	})
	conn := rawPeer(t, r.address(), "big")
	conn.Write(join(
		frame(0, make([]byte, 1000)),
		frame(0, make([]byte, 1001)),
		frame(0, make([]byte, 2000)),
		frame(1, make([]byte, 600)), command("PING", []byte("\x00\x00mid")), frame(1, make([]byte, 600)), frame(0, nil),
		frame(0, []byte("after")),
	))
	expectFrame(t, conn, 0, string(make([]byte, 1000)))
	for _, want := range []string{"too large", "too large", "too large", "after"} {
		expectFrame(t, conn, 0, want)
	}
	if got := r.Stats().TooLarge; got != 3 {
		t.Errorf("Stats count %d too large", got)
	}
}

func TestPingIsEchoed(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{}, echo)
	conn := rawPeer(t, r.address(), "p")
	conn.Write(command("PING", []byte("\x00\x64some context")))
	expectFrame(t, conn, 4, "\x04PONGsome context")
	// Between the frames of a message too.
	conn.Write(join(frame(1, []byte("a")), command("PING", []byte("\x00\x00")), frame(0, []byte("b"))))
	expectFrame(t, conn, 4, "\x04PONG")
	expectFrame(t, conn, 1, "a")
	expectFrame(t, conn, 0, "b")
}

func TestSilentPeerIsClosed(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{HeartbeatInterval: 50 * time.Millisecond, HeartbeatTimeout: 300 * time.Millisecond}, echo)
	conn := rawPeer(t, r.address(), "quiet")
	for range 3 {
		expectFrame(t, conn, 4, "\x04PING\x00\x00")
		conn.Write(command("PONG", nil))
	}
	expectClosed(t, conn)
	if e := r.await(t, zeromq.PeerDown); !errors.Is(e.Reason, zeromq.ErrSilent) {
		t.Errorf("closed because of %v", e.Reason)
	}
}

// A peer that does not read is closed at its bound; until then and after, others are served.
func TestStuckPeerDelaysNobody(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{QueueBytes: 1 << 20}, echo)
	rawPeer(t, r.address(), "stuck")
	other := rawPeer(t, r.address(), "other")
	body := bytes.Repeat([]byte("x"), 10<<10)
	var err error
	for i := 0; i < 100_000 && err == nil; i++ {
		if err = r.Send("stuck", body); i%100 == 0 {
			echoes(t, other)
		}
	}
	if !errors.Is(err, zeromq.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	down := r.await(t, zeromq.PeerDown)
	if down.Peer.RoutingID() != "stuck" || !errors.Is(down.Reason, zeromq.ErrFull) {
		t.Errorf("PeerDown of %s because of %v", down.Peer.RoutingID(), down.Reason)
	}
	if err := r.Send("stuck", body); !errors.Is(err, zeromq.ErrUnroutable) {
		t.Errorf("got %v, want ErrUnroutable", err)
	}
	echoes(t, other)
}

func TestWriteTimeoutClosesStuckPeer(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{WriteTimeout: 200 * time.Millisecond, QueueBytes: 64 << 20}, echo)
	rawPeer(t, r.address(), "stuck")
	for range 16 {
		r.Send("stuck", make([]byte, 2<<20))
	}
	if e := r.await(t, zeromq.PeerDown); e.Reason == nil || errors.Is(e.Reason, zeromq.ErrFull) {
		t.Errorf("closed because of %v, want a timeout", e.Reason)
	}
}

// Beyond the window a peer's socket is not read; others are.
func TestWindowHoldsOnePeerBack(t *testing.T) {
	t.Parallel()
	const window = 8
	var held atomic.Int64
	release := make(chan *zeromq.Peer, 1)
	r := startRouter(t, zeromq.RouterConfig{Window: window}, func(m zeromq.Message) {
		if m.Peer.RoutingID() != "busy" {
			echo(m)
			return
		}
		held.Add(1)
		select {
		case release <- m.Peer:
		default:
		}
	})
	busy, other := rawPeer(t, r.address(), "busy"), rawPeer(t, r.address(), "other")
	for i := range 100 {
		busy.Write(frame(0, []byte(fmt.Sprint(i))))
	}
	eventually(t, "the window is full", func() bool { return held.Load() == window })
	for range 20 {
		echoes(t, other)
	}
	if n := held.Load(); n != window {
		t.Fatalf("%d messages published with a window of %d", n, window)
	}
	p := <-release
	for released := int64(0); released < 100; {
		n := held.Load() - released
		p.Release(int(n))
		released += n
		eventually(t, "more arrive", func() bool { return held.Load() > released || released == 100 })
	}
}

func TestCloseAfterFlush(t *testing.T) {
	t.Parallel()
	const n = 2000
	r := startRouter(t, zeromq.RouterConfig{Window: 4}, func(m zeromq.Message) {
		for i := range n {
			m.Peer.Send([]byte(strings.Repeat("y", 1000)), []byte(fmt.Sprint(i)))
		}
		m.Peer.CloseAfterFlush(patience)
		if err := m.Peer.Send([]byte("late")); !errors.Is(err, zeromq.ErrClosed) {
			t.Errorf("Send after CloseAfterFlush: %v", err)
		}
	})
	conn := rawPeer(t, r.address(), "leaver")
	// Input that is never read must not destroy the output.
	conn.Write(bytes.Repeat(frame(0, []byte("go")), 1000))
	for i := range n {
		expectFrame(t, conn, 1, strings.Repeat("y", 1000))
		expectFrame(t, conn, 0, fmt.Sprint(i))
	}
	expectClosed(t, conn)
	<-r.await(t, zeromq.PeerDown).Peer.Done()
}

func TestRunFlushesAtItsEnd(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{}, echo)
	conn := rawPeer(t, r.address(), "last")
	up := r.await(t, zeromq.PeerUp)
	for i := range 100 {
		up.Peer.Send([]byte(fmt.Sprint(i)))
	}
	r.stop()
	for i := range 100 {
		expectFrame(t, conn, 0, fmt.Sprint(i))
	}
	expectClosed(t, conn)
	r.await(t, zeromq.PeerDown)
}

// A peer that is held back by its window when Run ends gets what is queued for it all the same.
func TestRunFlushesPeersBeyondTheirWindow(t *testing.T) {
	t.Parallel()
	const n = 5000
	queued := make(chan struct{}, 1)
	r := startRouter(t, zeromq.RouterConfig{Window: 1, QueueMessages: n, Linger: patience}, func(m zeromq.Message) {
		for i := range n {
			m.Peer.Send([]byte(strings.Repeat("w", 500)), []byte(fmt.Sprint(i)))
		}
		queued <- struct{}{}
	})
	conn := rawPeer(t, r.address(), "held")
	conn.Write(bytes.Repeat(frame(0, []byte("go")), 10))
	<-queued
	r.stop()
	for i := range n {
		expectFrame(t, conn, 1, strings.Repeat("w", 500))
		expectFrame(t, conn, 0, fmt.Sprint(i))
	}
	expectClosed(t, conn)
}

func TestStopAccepting(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{}, echo)
	conn := rawPeer(t, r.address(), "early")
	r.StopAccepting()
	if late, err := net.Dial("tcp", r.address()); err == nil {
		late.Close()
		t.Error("still accepting")
	}
	echoes(t, conn)
}

func TestValueAndKey(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{}, echo)
	rawPeer(t, r.address(), "")
	rawPeer(t, r.address(), "")
	a, b := r.await(t, zeromq.PeerUp).Peer, r.await(t, zeromq.PeerUp).Peer
	if a.Key() == b.Key() || a.RoutingID() == b.RoutingID() || a.RoutingID() == "" {
		t.Errorf("keys %d %d, ids %q %q", a.Key(), b.Key(), a.RoutingID(), b.RoutingID())
	}
	if a.Value() != nil {
		t.Errorf("a new peer has value %v", a.Value())
	}
	a.SetValue(1)
	a.SetValue("two")
	if a.Value() != "two" || a.RemoteAddr() == "" {
		t.Errorf("value %v, address %q", a.Value(), a.RemoteAddr())
	}
}
