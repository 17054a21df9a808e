package websocket_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	gorilla "github.com/gorilla/websocket"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const patience = 20 * time.Second

// bed is a bridge that runs behind a real server, with everything it published.
type bed struct {
	*websocket.Bridge
	url    string // ws://
	addr   string
	stop   func()
	events chan websocket.Event
	inbox  chan websocket.Message
}

// start runs a bridge. on sees every message first; nil means echo, release and keep.
func start(t testing.TB, cfg websocket.Config, on func(websocket.Message)) *bed {
	t.Helper()
	b, err := websocket.NewBridge(cfg)
	if err != nil {
		t.Fatalf("NewBridge: %v", err)
	}
	bd := &bed{Bridge: b, events: make(chan websocket.Event, 4096), inbox: make(chan websocket.Message, 4096)}
	if on == nil {
		on = func(m websocket.Message) {
			bd.inbox <- m
			if !m.TooLarge {
				_ = m.Conn.Send(m.Body)
			}
			m.Conn.Release(1)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	evs := b.Events().Subscribe(context.Background(), func(e websocket.Event) { bd.events <- e }, nil, nil)
	msgs := b.Messages().Subscribe(context.Background(), on, nil, nil)
	server := httptest.NewUnstartedServer(b)
	server.Config = websocket.NewServer("", b)
	server.Config.ReadHeaderTimeout = 300 * time.Millisecond
	server.Start()
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	bd.addr = server.Listener.Addr().String()
	bd.url = "ws://" + bd.addr + "/ws"
	bd.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		server.Close()
		<-evs.Done() // Run completes the streams, and all that was published is handled first
		<-msgs.Done()
	})
	t.Cleanup(bd.stop)
	waitFor(t, "the bridge to accept", func() bool { return refusedWith(bd, http.StatusUpgradeRequired) })
	return bd
}

// refusedWith asks without a handshake: 426 means that the bridge runs.
func refusedWith(b *bed, status int) bool {
	r, err := http.Get("http://" + b.addr + "/ws")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == status
}

// waitFor polls a condition that nothing announces.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// recv takes one value from ch.
func recv[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatalf("%s: channel closed", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
	}
	panic("unreachable")
}

// down gives the reason of the next Down event.
func (b *bed) down(t testing.TB) *websocket.CloseError {
	t.Helper()
	for {
		e := recv(t, "a Down event", b.events)
		if e.Kind != websocket.Down {
			continue
		}
		var ce *websocket.CloseError
		if !errors.As(e.Reason, &ce) {
			t.Fatalf("reason of Down: got %v, want a *CloseError", e.Reason)
		}
		return ce
	}
}

// up gives the connection of the next Up event.
func (b *bed) up(t testing.TB) *websocket.Conn {
	t.Helper()
	for {
		if e := recv(t, "an Up event", b.events); e.Kind == websocket.Up {
			return e.Conn
		}
	}
}

// dial connects with gorilla's client.
func (b *bed) dial(t testing.TB, header http.Header) *gorilla.Conn {
	t.Helper()
	ws, _, err := gorilla.DefaultDialer.Dial(b.url, header)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { ws.Close() })
	ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

// wantText reads one message.
func wantText(t testing.TB, ws *gorilla.Conn, want string) {
	t.Helper()
	_, p, err := ws.ReadMessage()
	if err != nil || string(p) != want {
		t.Fatalf("read: got %.40q, %v, want %.40q", p, err, want)
	}
}

// wantClose reads until the connection ends and checks the code.
func wantClose(t testing.TB, ws *gorilla.Conn, code int) {
	t.Helper()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if !gorilla.IsCloseError(err, code) {
				t.Fatalf("close: got %v, want code %d", err, code)
			}
			return
		}
	}
}

// raw is a client that speaks TCP.
type raw struct {
	net.Conn
	r *bufio.Reader
}

const handshakeKey = "dGhlIHNhbXBsZSBub25jZQ=="

func (b *bed) connect(t testing.TB) *raw {
	t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &raw{Conn: c, r: bufio.NewReader(c)}
}

func request(addr, extra string) string {
	return "GET /ws HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + handshakeKey + "\r\n" + extra + "\r\n"
}

// handshake gives an upgraded raw connection.
func (b *bed) handshake(t testing.TB, extra string) *raw {
	t.Helper()
	c := b.connect(t)
	if _, err := io.WriteString(c, request(b.addr, extra)); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if got := c.status(t); !strings.Contains(got, " 101 ") {
		t.Fatalf("handshake: got %q, want 101", got)
	}
	return c
}

// status reads the head of an answer and gives its first line.
func (c *raw) status(t testing.TB) string {
	t.Helper()
	first := ""
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatalf("read answer: %v", err)
		}
		if first == "" {
			first = line
		}
		if line == "\r\n" {
			return first
		}
	}
}

// readFrame reads one frame of the server.
func (c *raw) readFrame() (op byte, payload []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(c.r, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var x [2]byte
		_, err = io.ReadFull(c.r, x[:])
		n = uint64(binary.BigEndian.Uint16(x[:]))
	case 127:
		var x [8]byte
		_, err = io.ReadFull(c.r, x[:])
		n = binary.BigEndian.Uint64(x[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return h[0] & 0xf, payload, err
}

// closeCode reads up to the close frame; 0 means that there was none.
func (c *raw) closeCode() (int, error) {
	for {
		op, p, err := c.readFrame()
		if err != nil {
			return 0, err
		}
		if op == 8 {
			if len(p) < 2 {
				return gorilla.CloseNoStatusReceived, nil
			}
			return int(binary.BigEndian.Uint16(p)), nil
		}
	}
}

// frame makes a client frame with a mask of zeros.
func frame(first byte, payload string) string {
	return head(first, len(payload)) + payload
}

// head makes the header of a masked client frame.
func head(first byte, n int) string {
	var h []byte
	switch {
	case n < 126:
		h = []byte{first, 0x80 | byte(n)}
	case n < 1<<16:
		h = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	default:
		h = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(n))
	}
	return string(h) + "\x00\x00\x00\x00"
}

// wantAlive proves that the raw connection still works.
func (c *raw) wantAlive(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(c, frame(0x81, "alive?")); err != nil {
		t.Fatalf("write: %v", err)
	}
	for {
		op, p, err := c.readFrame()
		if err != nil || op == 8 {
			t.Fatalf("read: op %d, %q, %v, want the echo", op, p, err)
		}
		if string(p) == "alive?" {
			return
		}
	}
}

func numbered(i int) string { return fmt.Sprintf("message %d", i) }
