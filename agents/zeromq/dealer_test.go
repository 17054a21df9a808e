package zeromq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// startDealer runs a Dealer until the test ends or stop is called.
func startDealer(t testing.TB, cfg zeromq.DealerConfig) (d *zeromq.Dealer, stop func()) {
	t.Helper()
	cfg.ReconnectMin, cfg.ReconnectMax = 10*time.Millisecond, 50*time.Millisecond
	d, err := zeromq.NewDealer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(stop)
	return d, stop
}

func send(t testing.TB, d *zeromq.Dealer, frames ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var bytes [][]byte
	for _, f := range frames {
		bytes = append(bytes, []byte(f))
	}
	if err := d.Send(ctx, bytes...); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, d *zeromq.Dealer) [][]byte {
	t.Helper()
	select {
	case m := <-d.Messages():
		return m
	case <-time.After(patience):
		t.Fatal("nothing received")
		return nil
	}
}

func awaitConnected(t testing.TB, d *zeromq.Dealer, connected bool) zeromq.DealerEvent {
	t.Helper()
	timer := time.After(patience)
	for {
		select {
		case e := <-d.Events():
			if e.Connected == connected {
				return e
			}
		case <-timer:
			t.Fatalf("never connected=%v", connected)
		}
	}
}

func TestDealerAgainstLibzmqRouter(t *testing.T) {
	t.Parallel()
	py := startPython(t, "router", "tcp://127.0.0.1:*")
	url := py.line(t)
	d, _ := startDealer(t, zeromq.DealerConfig{Endpoint: url, RoutingID: "go"})
	for _, size := range []int{0, 1, 255, 256, 8191, 8192, 65536, 1 << 20} {
		want := [][]byte{bytes.Repeat([]byte("x"), size), {}, []byte("end")}
		if size == 1<<20 {
			want = want[:1]
		}
		if err := d.Send(context.Background(), want...); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, d); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%d bytes: %d frames came back, %d bytes in the first", size, len(got), len(got[0]))
		}
	}
	const ahead = 500 // a libzmq ROUTER drops beyond its high-water mark of 1000
	for i := range 3000 + ahead {
		if i < 3000 {
			send(t, d, fmt.Sprint(i))
		}
		if i < ahead {
			continue
		}
		if got := string(receive(t, d)[0]); got != fmt.Sprint(i-ahead) {
			t.Fatalf("got %s, want %d", got, i-ahead)
		}
	}
}

func TestDealerOutlivesItsRouter(t *testing.T) {
	t.Parallel()
	url := "ipc://" + filepath.Join(t.TempDir(), "r.sock")
	d, _ := startDealer(t, zeromq.DealerConfig{Endpoint: url})
	send(t, d, "queued before there is a router")
	py := startPython(t, "router", url)
	py.line(t)
	for round := range 3 {
		awaitConnected(t, d, true)
		if round == 0 {
			receive(t, d)
		}
		send(t, d, "a", fmt.Sprint(round))
		if got := receive(t, d); string(got[1]) != fmt.Sprint(round) {
			t.Fatalf("got %q", got)
		}
		py.Process.Kill()
		py.Wait()
		awaitConnected(t, d, false)
		send(t, d, "while", "down")
		py = startPython(t, "router", url)
		py.line(t)
		if got := receive(t, d); string(got[0]) != "while" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestDealerLeavesAStoppedRouter(t *testing.T) {
	t.Parallel()
	py := startPython(t, "router", "tcp://127.0.0.1:*")
	d, _ := startDealer(t, zeromq.DealerConfig{
		Endpoint: py.line(t), HeartbeatInterval: 50 * time.Millisecond, HeartbeatTimeout: 300 * time.Millisecond,
		HandshakeTimeout: 300 * time.Millisecond,
	})
	awaitConnected(t, d, true)
	send(t, d, "x")
	receive(t, d)
	py.Process.Signal(syscall.SIGSTOP)
	if e := awaitConnected(t, d, false); !errors.Is(e.Err, zeromq.ErrSilent) {
		t.Errorf("lost because of %v", e.Err)
	}
	py.Process.Signal(syscall.SIGCONT)
	awaitConnected(t, d, true)
}

func TestDealerSendBlocksWhenFull(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "tcp://" + l.Addr().String()
	l.Close()
	d, stop := startDealer(t, zeromq.DealerConfig{Endpoint: url, QueueMessages: 3})
	for i := range 3 {
		send(t, d, fmt.Sprint(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := d.Send(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a deadline", err)
	}
	var blocked sync.WaitGroup
	for range 10 {
		blocked.Go(func() { send(t, d, "later") })
	}
	startRouter(t, zeromq.RouterConfig{Bind: []string{url}}, echo)
	for range 13 {
		receive(t, d)
	}
	blocked.Wait()
	stop()
	if err := d.Send(context.Background(), []byte("x")); !errors.Is(err, zeromq.ErrClosed) {
		t.Errorf("Send after Run: %v", err)
	}
	for range d.Messages() {
	}
	for range d.Events() {
	}
}

// What is queued when Run is stopped still arrives.
func TestDealerFlushesAtItsEnd(t *testing.T) {
	t.Parallel()
	const n = 500
	got := make(chan string, n)
	r := startRouter(t, zeromq.RouterConfig{}, func(m zeromq.Message) {
		m.Peer.Release(1)
		got <- string(m.Frames[0])
	})
	d, stop := startDealer(t, zeromq.DealerConfig{Endpoint: r.url})
	awaitConnected(t, d, true)
	for i := range n {
		send(t, d, fmt.Sprint(i))
	}
	stop()
	for i := range n {
		if g := <-got; g != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", g, i)
		}
	}
}

// Every message that a broken connection did not carry to its last byte comes again on the next, in order.
func TestDealerResendsWhatWasCut(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, _ := startDealer(t, zeromq.DealerConfig{Endpoint: "tcp://" + l.Addr().String(), QueueMessages: 2000, QueueBytes: 1 << 30, HeartbeatInterval: -1})
	body := string(bytes.Repeat([]byte("z"), 20<<10))
	for i := range 1000 {
		send(t, d, fmt.Sprint(i), body)
	}
	last := -1
	for range 3 { // read a little, then break the connection
		conn := welcome(t, l)
		for range 50 {
			_, id, err := readFrame(conn)
			if err != nil {
				t.Fatal(err)
			}
			var n int
			fmt.Sscan(string(id), &n)
			if n <= last {
				t.Fatalf("message %d after %d", n, last)
			}
			last = n
			expectFrame(t, conn, 0, body)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	conn := welcome(t, l)
	for last != 999 {
		_, id, err := readFrame(conn)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Sscan(string(id), &last)
		expectFrame(t, conn, 0, body)
	}
}

// Wherever a write is cut, exactly the messages that left whole count as sent.
func TestCutWrites(t *testing.T) {
	t.Parallel()
	messages := [][][]byte{
		{[]byte("a"), {}, []byte("c")}, {make([]byte, 300)}, {make([]byte, 9000), []byte("z")},
		{make([]byte, 31<<10)}, {{}}, {[]byte("end")},
	}
	s, opener := newKeys().session(t)
	for _, sealer := range []*curve.Sealer{nil, s.s} {
		whole, sent, err := zeromq.WriteUntil(1<<20, messages, sealer)
		if err != nil || sent != len(messages) {
			t.Fatalf("%d sent, %v", sent, err)
		}
		for cut := 0; cut < len(whole); cut += 1 + cut%7 { // about a quarter of all places
			written, sent, err := zeromq.WriteUntil(cut, messages, sealer)
			if err == nil || len(written) != cut || sealer == nil && !bytes.Equal(written, whole[:cut]) {
				t.Fatalf("cut at %d: %d bytes written, %v", cut, len(written), err)
			}
			var got []zeromq.Message
			if sealer == nil {
				got, _, _ = zeromq.Decode(written, 1<<20, 1<<20, 1<<20, 10)
			} else {
				got, _, _ = zeromq.DecodeSealed(opener, written, 1<<20, 1<<20, 1<<20, 10)
				cut += 100
			}
			if sent != len(got) {
				t.Fatalf("cut at %d: %d counted, the peer has %d", cut, sent, len(got))
			}
		}
	}
}

// welcome accepts a connection as a ROUTER would.
func welcome(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write(hello("ROUTER", ""))
	if _, err := io.ReadFull(conn, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	if flags, _, err := readFrame(conn); err != nil || flags != 4 {
		t.Fatalf("READY: flags %d, %v", flags, err)
	}
	return conn
}
