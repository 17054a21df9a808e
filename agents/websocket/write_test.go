package websocket_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

// gated is a listener whose connections count writes and hold them back at the gate.
type gated struct {
	net.Listener
	gate      chan struct{} // each write takes one
	entered   chan struct{}
	unguarded atomic.Int32 // writes and reads without a deadline
}

func (l *gated) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &gatedConn{Conn: c, l: l}, err
}

type gatedConn struct {
	net.Conn
	l           *gated
	read, write atomic.Bool // deadline set
}

func (c *gatedConn) SetDeadline(t time.Time) error {
	c.read.Store(!t.IsZero())
	c.write.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

func (c *gatedConn) SetReadDeadline(t time.Time) error {
	c.read.Store(!t.IsZero())
	return c.Conn.SetReadDeadline(t)
}

func (c *gatedConn) SetWriteDeadline(t time.Time) error {
	c.write.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

func (c *gatedConn) Write(p []byte) (int, error) {
	if !c.write.Load() {
		c.l.unguarded.Add(1)
	}
	c.l.entered <- struct{}{}
	<-c.l.gate
	return c.Conn.Write(p)
}

// All that is queued while a write is under way leaves in the next one, each message its own frame, and
// no write goes without a deadline.
func TestCork(t *testing.T) {
	t.Parallel()
	b, err := websocket.NewBridge(websocket.Config{})
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *websocket.Conn, 1)
	events := b.Events().Subscribe(context.Background(), func(e websocket.Event) {
		if e.Kind == websocket.Up {
			conns <- e.Conn
		}
	}, nil, nil)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &gated{Listener: inner, gate: make(chan struct{}, 100), entered: make(chan struct{}, 100)}
	// The connection's first byte must not be upgraded before Run takes connections.
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	server := websocket.NewServer("", b)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		close(l.gate)
		cancel()
		<-ran
		server.Close()
		<-served
		events.Dispose()
		<-events.Done()
	}()

	var ws *gorilla.Conn
	waitFor(t, "the bridge to accept", func() bool {
		l.gate <- struct{}{}
		var err error
		ws, _, err = gorilla.DefaultDialer.Dial("ws://"+inner.Addr().String()+"/ws", nil)
		return err == nil
	})
	defer ws.Close()
	for len(l.entered) > 0 {
		<-l.entered
	}
	conn := recv(t, "Up", conns)
	const n = 200
	conn.Send([]byte(numbered(0)))
	recv(t, "the first write", l.entered)
	for i := 1; i < n; i++ {
		conn.Send([]byte(numbered(i)))
	}
	l.gate <- struct{}{}
	recv(t, "the second write", l.entered)
	l.gate <- struct{}{}
	for i := range n {
		wantText(t, ws, numbered(i))
	}
	conn.CloseAfterFlush(websocket.Normal, "", time.Second)
	recv(t, "the third write", l.entered)
	l.gate <- struct{}{}
	wantClose(t, ws, websocket.Normal)
	if got := len(l.entered); got != 0 {
		t.Errorf("got %d more writes, want 3 in all", got)
	}
	if got := l.unguarded.Load(); got != 0 {
		t.Errorf("%d writes without a deadline", got)
	}
}

// Bodies larger than what is written at once arrive whole and in order among small ones.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{QueueBytes: 16 << 20}, nil)
	ws := b.dial(t, nil)
	conn := b.up(t)
	sizes := []int{1, 200_000, 2, 64 << 10, 3, 1_000_000, 4, 125, 126, 65535, 65536, 0}
	for _, n := range sizes {
		if err := conn.Send([]byte(strings.Repeat("y", n))); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range sizes {
		_, p, err := ws.ReadMessage()
		if err != nil || len(p) != n {
			t.Fatalf("got %d bytes, %v, want %d", len(p), err, n)
		}
	}
}

// A body that alone is over the queue's bytes closes, as any overflow does.
func TestBodyOverQueue(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{QueueBytes: 1000}, nil)
	ws := b.dial(t, nil)
	conn := b.up(t)
	if err := conn.Send(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	ws.ReadMessage()
	if err := conn.Send(make([]byte, 1001)); err != websocket.ErrFull {
		t.Errorf("Send: got %v, want ErrFull", err)
	}
	wantClose(t, ws, websocket.SlowConsumer)
}

// An upgrade that Run no longer takes gets an answer and its place back.
func TestUpgradeWhileStopping(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	b := start(t, websocket.Config{Authenticate: func(context.Context, string) (any, error) {
		close(entered)
		<-release
		return nil, nil
	}}, nil)
	code := make(chan int, 1)
	go func() {
		c, err := websocket.Dial(context.Background(), b.url, websocket.ClientConfig{Session: "s"})
		if err != nil {
			code <- -1
			return
		}
		defer c.Close()
		<-c.Done()
		code <- c.CloseCode()
	}()
	recv(t, "Authenticate", closedOf(entered))
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	waitFor(t, "the end of accepting", func() bool { return !refusedWith(b, http.StatusUpgradeRequired) })
	close(release)
	if got := recv(t, "the end", code); got != websocket.GoingAway {
		t.Errorf("got %d, want 1001", got)
	}
	recv(t, "Run to end", closedOf(stopped))
	waitFor(t, "no connections", func() bool { return b.Conns() == 0 })
}

// What has been written no longer counts against the queue.
func TestQueueIsFreed(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{QueueMessages: 4, QueueBytes: 400}, nil)
	ws := b.dial(t, nil)
	conn := b.up(t)
	for i := range 50 { // a reader that keeps up, over many times the queue
		body := numbered(i) + strings.Repeat("x", 100)
		if err := conn.Send([]byte(body)); err != nil {
			t.Fatalf("message %d: %v, though all before were read", i, err)
		}
		wantText(t, ws, body)
	}
}

// Messages that come after the close began are read, for the close frame behind them, and not published.
func TestNothingIsPublishedWhileClosing(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	c := b.handshake(t, "")
	b.up(t).CloseAfterFlush(websocket.Normal, "", time.Second)
	if got, err := c.closeCode(); got != websocket.Normal {
		t.Fatalf("got %d, %v, want 1000", got, err)
	}
	io.WriteString(c, frame(0x81, "late")+frame(0x88, "\x03\xe8"))
	b.down(t)
	b.stop()
	if got := len(b.inbox); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
}
