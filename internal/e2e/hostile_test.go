package e2e_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

// rss is the memory of a process in MiB, fds its open files.
func (p *process) rss() int {
	p.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.tb.Fatal(err)
	}
	return kb >> 10
}

func (p *process) fds() int {
	p.tb.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		p.tb.Fatal(err)
	}
	return len(list)
}

func connectRaw(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	_, addr, _ = strings.Cut(addr, "//")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(40 * time.Second))
	return conn
}

// closedByPeer reads until the other end closes.
func closedByPeer(tb testing.TB, what string, conn net.Conn) {
	tb.Helper()
	buf := make([]byte, 64<<10)
	for {
		if _, err := conn.Read(buf); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				tb.Errorf("%s was not closed", what)
			}
			return
		}
	}
}

// huge is a ZMTP frame header that claims 2^62 bytes, and 64 bytes of junk: 73 in all.
func huge() []byte {
	b := binary.BigEndian.AppendUint64([]byte{0x02}, 1<<62)
	return append(b, bytes.Repeat([]byte{0xa5}, 64)...)
}

// zmtp does the handshake of a DEALER by hand.
func zmtp(tb testing.TB, conn net.Conn) {
	tb.Helper()
	greeting := make([]byte, 64)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	ready := "\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
	_, _ = conn.Write(slices.Concat(greeting, []byte{0x04, byte(len(ready))}, []byte(ready)))
	buf := make([]byte, 0, 256)
	for len(buf) < 64+2 || len(buf) < 66+int(buf[65]) {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			tb.Fatalf("the handshake by hand: %v", err)
		}
		buf = buf[:len(buf)+n]
	}
}

// latency sends n messages from one talker to another, one at a time, and returns the 99th percentile.
func latency(tb testing.TB, from, to *talker, label string, n int) time.Duration {
	tb.Helper()
	took := make([]time.Duration, 0, n)
	for i := range n {
		text := fmt.Sprint(label, " ", i)
		start := time.Now()
		from.direct(text, to.user, text)
		to.next(text, saying(text))
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[n*99/100]
}

// TestHostileClients: strangers that send nonsense, say nothing or do not read cost a bounded amount and
// delay nobody. It measures, so nothing runs beside it.
func TestHostileClients(t *testing.T) {
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	ann, bob := newDealer(t, m.a, "ann", made.session("ann")), newBrowser(t, m.a, "bob", made.session("bob"))
	ann.logIn(nil)
	bob.logIn(nil)
	quiet := latency(t, ann, bob, "quiet", 300)
	memory, files := m.a.rss(), m.a.fds()

	var silent, nonsense []net.Conn
	for range 300 {
		silent = append(silent, connectRaw(t, m.a.zmq), connectRaw(t, m.a.http))
	}
	for range 20 {
		before, after := connectRaw(t, m.a.zmq), connectRaw(t, m.a.zmq)
		_, _ = before.Write(huge())
		zmtp(t, after)
		_, _ = after.Write(huge())
		nonsense = append(nonsense, before, after)
	}
	for _, c := range nonsense {
		closedByPeer(t, "a connection that claims 2^62 bytes", c)
	}
	if got := m.a.rss(); got > memory+150 {
		t.Errorf("nonsense cost %d MiB", got-memory)
	}

	// Two that stop reading, while each is sent 24 MiB.
	stuck := newPython(t, m.a, "stuck", made.session("stuck"))
	stuck.logIn(nil)
	pid := m.stop(t, stuck)
	deaf, err := websocket.Dial(context.Background(), m.a.ws, websocket.ClientConfig{Session: made.session("deaf"), Buffer: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	flood := newDealer(t, m.b, "flood", made.session("flood"))
	flood.logIn(nil)
	var flooding sync.WaitGroup
	flooding.Go(func() {
		text := strings.Repeat("x", 4<<10)
		for i := range 6000 {
			flood.direct(fmt.Sprint("s", i), "stuck", text)
			flood.direct(fmt.Sprint("d", i), "deaf", text)
		}
	})
	meanwhile := latency(t, ann, bob, "meanwhile", 300)
	flooding.Wait()
	acked := 0
	flood.next("every Ack", func(e envelope) bool {
		if e.str("type") != "Ack" {
			t.Errorf("the flood is answered %v", e)
		}
		acked++
		return acked == 2*6000
	})
	t.Logf("p99 of a message: %v in the quiet, %v meanwhile", quiet, meanwhile)
	if meanwhile > 10*quiet+250*time.Millisecond {
		t.Errorf("p99 of a message: %v in the quiet, %v meanwhile", quiet, meanwhile)
	}
	for range deaf.Messages() { // what had come before it was cut off
	}
	if deaf.CloseCode() != websocket.SlowConsumer && deaf.CloseCode() != websocket.Abnormal {
		t.Errorf("the WebSocket that does not read was closed with %d", deaf.CloseCode())
	}
	for _, c := range silent {
		closedByPeer(t, "a connection that says nothing", c)
	}
	t.Logf("memory %d MiB before, %d after; files %d before, %d after", memory, m.a.rss(), files, m.a.fds())
	if got := m.a.rss(); got > memory+300 {
		t.Errorf("the memory grew from %d to %d MiB", memory, got)
	}
	if got := m.a.fds(); got > files+20 {
		t.Errorf("open files: %d before, %d after", files, got)
	}
	_ = syscall.Kill(pid, syscall.SIGCONT)
	for len(stuck.lines) > 0 {
		<-stuck.lines
	}
	stuck.unbound() // it was cut off and has connected again
	latency(t, ann, bob, "after", 10)
	made.hidden("the log", m.a.logs.tail(1<<30)+m.b.logs.tail(1<<30))
}

// TestCrowd: two thousand clients connect and log in at once.
func TestCrowd(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	const n = 2000
	var tokens [n]string
	for i := range n {
		tokens[i] = made.session(fmt.Sprint("user", i))
	}
	start := time.Now()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			kind := newDealer
			if i%2 == 0 {
				kind = newBrowser
			}
			c := kind(t, m.a, fmt.Sprint("user", i), tokens[i])
			c.send(envelope{"type": "Login", "id": "login"})
			select {
			case l := <-c.lines:
				if !strings.Contains(l, `"Ack"`) {
					t.Errorf("user %d got %s", i, l)
				}
			case <-time.After(40 * time.Second):
				t.Errorf("user %d was not answered", i)
			}
			c.close()
		})
	}
	all.Wait()
	t.Logf("%d clients were in after %v; the agent has %d MiB", n, time.Since(start).Round(time.Millisecond), m.a.rss())
}

// TestLargeReplay: a client that was away gets what its history holds, also when that is far more than
// what may be queued for it at a time.
func TestLargeReplay(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	made := newMint(t, m.redis.URL)
	ann := newDealer(t, m.a, "ann", made.session("ann"))
	ann.logIn(nil)
	const n = 150
	text := strings.Repeat("x", 60<<10)
	for i := range n {
		ann.direct(fmt.Sprint(i), "bob", text)
	}
	for i := range n {
		ann.ack(fmt.Sprint(i))
	}
	token := made.session("bob")
	for kind, connect := range kinds {
		t.Run(kind, func(t *testing.T) {
			bob := connect(t, m.b, "bob", token)
			bob.send(envelope{"type": "Login", "id": "login", "since": 0})
			for i := range n {
				if e := bob.next("a message", func(e envelope) bool { return e.str("type") != "Pong" }); e.num("seq") != int64(i+1) {
					t.Fatalf("message %d is %.200s", i+1, fmt.Sprint(e))
				}
			}
			bob.ack("login")
		})
	}
}
