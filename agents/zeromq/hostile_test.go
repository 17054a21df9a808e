package zeromq_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// echoes fails the test unless an echo over conn works.
func echoes(t testing.TB, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(frame(0, []byte("still there?"))); err != nil {
		t.Fatal(err)
	}
	expectFrame(t, conn, 0, "still there?")
}

type hostile struct {
	name  string
	bytes []byte
}

// hostileBytes are what strangers, who claim to be a peer of this type, lose their connection for. wrong is
// a type that must not talk to the socket.
func hostileBytes(peer, wrong string) []hostile {
	ready := func(body ...[]byte) []byte { return join(greeting(), command("READY", join(body...))) }
	own := property("Socket-Type", peer)
	good := hello(peer, "")
	badMechanism := greeting()
	copy(badMechanism[12:], "CURVE")
	oldVersion := greeting()
	oldVersion[10] = 1
	var flood []byte
	for range 2000 {
		flood = append(flood, command("PING", []byte{0, 0})...)
	}
	return []hostile{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"zeros", make([]byte, 4096)},
		{"half greeting", greeting()[:20]},
		{"greeting alone", greeting()},
		{"CURVE", badMechanism},
		{"ZMTP 1", oldVersion},
		{"2^62 bytes instead of READY", join(greeting(), header(4, 1<<62))},
		{"64 GiB instead of READY", join(greeting(), header(4, 64<<30))},
		{"READY of 17 KB", ready(own, property("X-Fill", strings.Repeat("x", 17<<10)))},
		{"key beyond the end", ready(own, []byte{200, 'a', 'b'})},
		{"value beyond the end", ready(own, []byte{1, 'a', 0xff, 0xff, 0xff, 0xff})},
		{"value cut", ready([]byte("\x0bSocket-Type\x00\x00"))},
		{"empty key", ready(own, []byte{0, 0, 0, 0, 0})},
		{"no socket type", ready(property("Identity", "x"))},
		{"socket type FOO", ready(property("Socket-Type", "FOO"))},
		{"wrong socket type", ready(property("Socket-Type", wrong))},
		{"two identities", ready(own, property("Identity", "x"), property("identity", "y"))},
		{"identity of 256 bytes", hello(peer, strings.Repeat("i", 256))},
		{"identity of 5 MB", hello(peer, strings.Repeat("i", 5<<20))},
		{"no READY but a message", join(greeting(), frame(0, []byte("hi")))},
		{"empty command", join(greeting(), frame(4, nil))},
		{"ERROR", join(greeting(), command("ERROR", []byte("\x03400")))},
		{"frame of 2^62", join(good, header(0, 1<<62))},
		{"frame of 2^63+", join(good, header(0, 1<<63+5))},
		{"frame of 2^64-1", join(good, header(1, 1<<64-1))},
		{"frame of 64 GiB", join(good, header(0, 64<<30))},
		{"frame just over twice the limit", join(good, header(0, 2<<20+1))},
		{"parts over twice the limit", join(good, frame(1, make([]byte, 2<<20)), header(0, 1))},
		{"endless MORE", join(good, bytes.Repeat(frame(1, []byte("m")), 17))},
		{"endless empty MORE", join(good, bytes.Repeat(frame(1, nil), 17))},
		{"reserved flags", join(good, frame(8, []byte("x")))},
		{"command with MORE", join(good, frame(5, []byte("\x04PING\x00\x00")))},
		{"command of 1 MB", join(good, header(4, 1<<20))},
		{"malformed command", join(good, frame(4, []byte("\x09PING")))},
		{"unknown command", join(good, command("JUMP", nil))},
		{"short PING", join(good, command("PING", []byte{0}))},
		{"PING with a long context", join(good, command("PING", make([]byte, 19)))},
		{"PING flood", join(good, flood)},
	}
}

func TestHostileBytesCostTheirConnectionOnly(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{Name: "agent", HandshakeTimeout: 300 * time.Millisecond, MaxParts: 16, HeartbeatInterval: -1}, echo)
	honest, answers := livePeer(t, r.address(), "honest")
	all := append(hostileBytes("DEALER", "PUB"),
		hostile{"SUBSCRIBE", join(hello("DEALER", ""), command("SUBSCRIBE", []byte("x")))},
		hostile{"the agent's name", hello("DEALER", "agent")},
		hostile{"the honest peer's name", hello("DEALER", "honest")},
	)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			conn := dialRaw(t, r.address())
			conn.SetDeadline(time.Now().Add(patience))
			conn.Write(c.bytes) // it may be closed before the last byte
			expectClosed(t, conn)
			honest.Write(frame(0, []byte(c.name)))
			select {
			case got := <-answers:
				if got != c.name {
					t.Errorf("echo %q of %q", got, c.name)
				}
			case <-time.After(patience):
				t.Fatal("the honest peer is not served")
			}
		})
	}
	eventually(t, "only the honest peer is left", func() bool { return r.Peers() == 1 })
}

func TestSilentConnectionsDoNotStopOthers(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{HandshakeTimeout: time.Minute, MaxHandshakes: 50, HeartbeatTimeout: time.Second}, echo)
	for range 300 {
		dialRaw(t, r.address())
	}
	for i := range 5 {
		echoes(t, rawPeer(t, r.address(), fmt.Sprint("honest", i)))
	}
	eventually(t, "250 are pushed out", func() bool { return r.Stats().Refused >= 250 })
}

func TestConnectStorm(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{}, echo)
	honest := rawPeer(t, r.address(), "honest")
	var storm sync.WaitGroup
	for range 10 {
		storm.Go(func() {
			for i := range 100 {
				conn, err := net.Dial("tcp", r.address())
				if err != nil {
					t.Error(err)
					return
				}
				switch i % 4 {
				case 1:
					conn.Write(greeting()[:i%64])
				case 2:
					conn.Write(hello("DEALER", ""))
				case 3:
					conn.Write(join(hello("DEALER", ""), frame(0, []byte("bye")), header(0, 1000)))
				}
				conn.Close()
			}
		})
	}
	storm.Wait()
	echoes(t, honest)
	eventually(t, "every connection is dealt with", func() bool {
		s := r.Stats()
		return s.Accepted+s.Refused == 1001 && r.Peers() == 1
	})
}

func TestLimitsOfConnections(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{MaxConns: 2}, echo)
	a, b := rawPeer(t, r.address(), "a"), rawPeer(t, r.address(), "b")
	expectClosed(t, dialRaw(t, r.address()))
	if e := r.await(t, zeromq.Refused); !errors.Is(e.Reason, zeromq.ErrBusy) {
		t.Errorf("refused because of %v", e.Reason)
	}
	echoes(t, a)
	b.Close()
	r.await(t, zeromq.PeerDown)
	eventually(t, "the place is free", func() bool {
		conn := dialRaw(t, r.address())
		conn.Write(hello("DEALER", "c"))
		n, _ := conn.Read(make([]byte, 64))
		return n > 0
	})
}

func TestConnectsPerSecond(t *testing.T) {
	t.Parallel()
	r := startRouter(t, zeromq.RouterConfig{ConnectsPerSecond: 5}, echo)
	for range 50 {
		dialRaw(t, r.address()).Close()
	}
	eventually(t, "connects over the rate are refused as such", func() bool {
		return errors.Is(r.await(t, zeromq.Refused).Reason, zeromq.ErrBusy)
	})
}

// A header is not believed: what it promises is allocated as it arrives.
func TestPromisedBytesAreNotAllocated(t *testing.T) {
	t.Parallel()
	const size = 200 << 20
	r := startRouter(t, zeromq.RouterConfig{MaxMessage: size}, echo)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 50 {
		conn := rawPeer(t, r.address(), fmt.Sprint(i))
		conn.Write(join(header(0, size), make([]byte, 1000)))
	}
	eventually(t, "all are up", func() bool { return r.Peers() == 50 })
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 20*size {
		t.Errorf("allocated %d MB for 50 KB", grown>>20)
	}
}
