package zeromq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// recorder keeps what is written.
type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.sent = append(r.sent, p...)
	return r.Conn.Write(p)
}

// rawCurve is a client made of a TCP connection, past its handshake; said is what that took.
func (k keys) rawCurve(t testing.TB, address string, metadata curve.Metadata) (c *curve.Conn, said []byte, err error) {
	t.Helper()
	conn := &recorder{Conn: dialRaw(t, address)}
	conn.SetDeadline(time.Now().Add(patience))
	c = curve.Client(conn, curve.ClientConfig{Server: k.server, Secret: k.clientSecret, Metadata: metadata})
	err = c.Handshake(context.Background())
	return c, conn.sent, err
}

// session is two ends in memory: what one seals, the other opens.
func (k keys) session(t testing.TB) (sealer, *curve.Opener) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	server := curve.Server(there, curve.ServerConfig{Secret: k.serverSecret, Authorise: k.only})
	ended := make(chan error, 1)
	go func() { ended <- server.Handshake(context.Background()) }()
	client := curve.Client(here, curve.ClientConfig{Server: k.server, Secret: k.clientSecret})
	if err := errors.Join(client.Handshake(context.Background()), <-ended); err != nil {
		t.Fatal(err)
	}
	return sealer{t, client.Sealer()}, server.Opener()
}

// sealer seals frames of one connection, or the test fails.
type sealer struct {
	testing.TB
	s *curve.Sealer
}

func (s sealer) seal(flags byte, body []byte) []byte {
	out, err := s.s.AppendFrame(nil, flags, body)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// What a client with a good key sends after its handshake costs its connection only.
func TestHostileCurveMessages(t *testing.T) {
	t.Parallel()
	k := newKeys()
	r := startRouter(t, zeromq.RouterConfig{Name: "agent", MaxParts: 16, HeartbeatInterval: -1, Security: k.serves()}, echo)
	honest, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, RoutingID: "honest", Security: k.asks()})
	stillServed := func(t *testing.T) {
		t.Helper()
		send(t, honest, t.Name())
		same(t, receive(t, honest), [][]byte{[]byte(t.Name())})
	}
	dealer := curve.SocketMetadata("DEALER", "")
	foreign, _, err := k.rawCurve(t, r.address(), dealer)
	if err != nil {
		t.Fatal(err)
	}
	ping := []byte("\x04PING\x00\x00")
	for name, bad := range map[string]func(s sealer) []byte{
		"sent twice": func(s sealer) []byte { return bytes.Repeat(s.seal(0, []byte("x")), 2) },
		"swapped": func(s sealer) []byte {
			first, second := s.seal(0, []byte("x")), s.seal(0, []byte("y"))
			return join(second, first)
		},
		"box cut": func(s sealer) []byte {
			b := s.seal(0, []byte("secret"))
			return frame(0, b[2:len(b)-1])
		},
		"only a name":            func(sealer) []byte { return frame(4, []byte("\x07MESSAGE")) },
		"nothing":                func(sealer) []byte { return frame(0, nil) },
		"tampered body":          func(s sealer) []byte { return flip(s.seal(0, []byte("x")), -1) },
		"tampered flags":         func(s sealer) []byte { return flip(s.seal(0, []byte("x")), 2+8+8+16) },
		"tampered tag":           func(s sealer) []byte { return flip(s.seal(0, []byte("x")), 2+8+8) },
		"tampered nonce":         func(s sealer) []byte { return flip(s.seal(0, []byte("x")), 2+8+7) },
		"another's":              func(s sealer) []byte { return sealer{s, foreign.Sealer()}.seal(0, []byte("x")) },
		"plain message":          func(sealer) []byte { return frame(0, []byte("x")) },
		"plain command":          func(sealer) []byte { return frame(4, ping) },
		"MORE outside":           func(s sealer) []byte { b := s.seal(0, []byte("x")); b[0] |= 1; return b },
		"reserved flags":         func(s sealer) []byte { b := s.seal(0, []byte("x")); b[0] |= 8; return b },
		"2^62 bytes":             func(sealer) []byte { return header(0, 1<<62) },
		"2^64-1 bytes":           func(sealer) []byte { return header(0, 1<<64-1) },
		"frame beyond the limit": func(sealer) []byte { return header(0, 2<<20+uint64(curve.Overhead)+1) },
		"parts beyond the limit": func(s sealer) []byte { return join(s.seal(1, make([]byte, 2<<20)), s.seal(0, []byte("x"))) },
		"endless MORE":           func(s sealer) []byte { return repeat(17, func() []byte { return s.seal(1, []byte("m")) }) },
		"long tampered":          func(s sealer) []byte { return flip(s.seal(0, make([]byte, 1<<20)), -1) },
		"command with MORE":      func(s sealer) []byte { return s.seal(5, ping) },
		"command of 100 KB":      func(s sealer) []byte { return s.seal(4, make([]byte, 100<<10)) },
		"malformed command":      func(s sealer) []byte { return s.seal(4, []byte("\x09PING")) },
		"unknown command":        func(s sealer) []byte { return s.seal(4, []byte("\x04JUMP")) },
		"PING flood":             func(s sealer) []byte { return repeat(2000, func() []byte { return s.seal(4, ping) }) },
		"handshake once more":    func(sealer) []byte { return join(greeting(), command("HELLO", make([]byte, 194))) },
		"good one, then garbage": func(s sealer) []byte { return join(s.seal(0, []byte("x")), make([]byte, 100)) },
		"MORE, then nothing":     func(s sealer) []byte { return join(s.seal(1, []byte("x")), frame(0, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			c, _, err := k.rawCurve(t, r.address(), dealer)
			if err != nil {
				t.Fatal(err)
			}
			c.NetConn().Write(bad(sealer{t, c.Sealer()})) // it may be closed before the last byte
			expectClosed(t, c.NetConn())
			stillServed(t)
		})
	}
	for name, metadata := range map[string]curve.Metadata{
		"no socket type":        {{Name: "Identity", Value: "x"}},
		"socket type FOO":       curve.SocketMetadata("FOO", ""),
		"socket type PUB":       curve.SocketMetadata("PUB", ""),
		"identity of 256 bytes": curve.SocketMetadata("DEALER", strings.Repeat("i", 256)),
		"the agent's name":      curve.SocketMetadata("DEALER", "agent"),
		"the honest one's name": curve.SocketMetadata("DEALER", "honest"),
	} {
		t.Run(name, func(t *testing.T) {
			var told *curve.RefusedError
			if _, _, err := k.rawCurve(t, r.address(), metadata); err == nil || errors.As(err, &told) {
				t.Errorf("handshake: %v", err)
			}
			stillServed(t)
		})
	}
	foreign.Close()
	eventually(t, "only the honest peer is left", func() bool { return r.Peers() == 1 })
}

func flip(b []byte, at int) []byte {
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return b
}

func repeat(n int, f func() []byte) []byte {
	var all []byte
	for range n {
		all = append(all, f()...)
	}
	return all
}

// A connection that was recorded is of no use, neither whole nor from its INITIATE on.
func TestReplayedCurveConnection(t *testing.T) {
	t.Parallel()
	k := newKeys()
	received := make(chan string, 100)
	r := startRouter(t, zeromq.RouterConfig{Security: k.serves()}, func(m zeromq.Message) {
		m.Peer.Release(1)
		received <- string(m.Frames[0])
	})
	c, said, err := k.rawCurve(t, r.address(), curve.SocketMetadata("DEALER", "rich"))
	if err != nil {
		t.Fatal(err)
	}
	order := sealer{t, c.Sealer()}.seal(0, []byte("pay"))
	c.NetConn().Write(order)
	if got := <-received; got != "pay" {
		t.Fatalf("received %q", got)
	}
	c.Close()
	eventually(t, "it is gone", func() bool { return r.Peers() == 0 })
	const hello = 64 + 202
	for _, pause := range []int{0, 64, 64 + 170} { // what is waited for between the parts
		conn := dialRaw(t, r.address())
		conn.Write(said[:hello])
		io.ReadFull(conn, make([]byte, pause))
		conn.Write(join(said[hello:], order))
		expectClosed(t, conn)
	}
	if len(received) > 0 || r.Stats().Accepted != 1 {
		t.Errorf("%d messages, %+v", len(received), r.Stats())
	}
}

// Thousands that stop half way cost a bounded number of goroutines and bytes, and nobody else's patience.
func TestHalfCurveHandshakes(t *testing.T) {
	t.Parallel()
	const most = 50
	k := newKeys()
	r := startRouter(t, zeromq.RouterConfig{HandshakeTimeout: time.Minute, MaxHandshakes: most, Security: k.serves()}, echo)
	honest, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, Security: k.asks()})
	send(t, honest, "before")
	receive(t, honest)
	done, said, err := k.rawCurve(t, r.address(), curve.SocketMetadata("DEALER", ""))
	if err != nil {
		t.Fatal(err)
	}
	done.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	halves := [][]byte{nil, said[:64], said[:100], said[:64+202], said[:64+202+100]}
	open := make([]net.Conn, 0, 200)
	for i := range 3000 {
		if len(open) == cap(open) { // descriptors are few
			open[0].Close()
			open = slices.Delete(open, 0, 1)
		}
		conn, err := net.Dial("tcp", r.address())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(halves[i%len(halves)])
		open = append(open, conn)
	}
	eventually(t, "all but those that may wait are pushed out", func() bool { return r.Stats().Refused >= 3000-most })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d KB of heap for %d handshakes", grown>>10, most)
	}
	if n := r.Handshakes(); n > most {
		t.Errorf("%d handshakes under way", n)
	}
	send(t, honest, "still there?")
	same(t, receive(t, honest), [][]byte{[]byte("still there?")})
	for i := range 3 {
		d, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, RoutingID: fmt.Sprint("late", i), Security: k.asks()})
		send(t, d, "hello")
		receive(t, d)
	}
	for _, conn := range open {
		conn.Close()
	}
}

// A header is not believed under CURVE either.
func TestPromisedSealedBytesAreNotAllocated(t *testing.T) {
	t.Parallel()
	const size = 200 << 20
	k := newKeys()
	r := startRouter(t, zeromq.RouterConfig{MaxMessage: size, Security: k.serves()}, echo)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 50 {
		c, _, err := k.rawCurve(t, r.address(), curve.SocketMetadata("DEALER", ""))
		if err != nil {
			t.Fatal(err)
		}
		c.NetConn().Write(join(header(0, size), []byte("\x07MESSAGE"), make([]byte, 1000)))
	}
	eventually(t, "all are up", func() bool { return r.Peers() == 50 })
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 20*size {
		t.Errorf("allocated %d MB for 50 KB", grown>>20)
	}
}

// What is too large is skipped and reported, and the next message arrives.
func TestTooLargeOverCurve(t *testing.T) {
	t.Parallel()
	k := newKeys()
	got := make(chan string, 10)
	r := startRouter(t, zeromq.RouterConfig{MaxMessage: 1000, Security: k.serves()}, func(m zeromq.Message) {
		m.Peer.Release(1)
		if m.TooLarge {
			got <- "too large"
			return
		}
		got <- fmt.Sprint(len(m.Frames), " of ", len(m.Frames[0]))
	})
	d, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, Security: k.asks()})
	for _, c := range []struct {
		sizes []int
		want  string
	}{
		{[]int{1000}, "1 of 1000"},
		{[]int{1001}, "too large"},
		{[]int{2000}, "too large"},
		{[]int{500, 600, 1, 1}, "too large"},
		{[]int{500, 500}, "2 of 500"},
	} {
		var frames []string
		for _, n := range c.sizes {
			frames = append(frames, string(make([]byte, n)))
		}
		send(t, d, frames...)
		if s := <-got; s != c.want {
			t.Errorf("%v: %s, want %s", c.sizes, s, c.want)
		}
	}
}
