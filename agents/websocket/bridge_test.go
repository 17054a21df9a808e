package websocket_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

func TestEcho(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	ws := b.dial(t, nil)
	conn := b.up(t)
	if conn.Key() == 0 || conn.RemoteAddr() != ws.LocalAddr().String() || conn.Identity() != nil || conn.Subprotocol() != "" {
		t.Errorf("conn: got key %d, remote %q, identity %v, subprotocol %q", conn.Key(), conn.RemoteAddr(), conn.Identity(), conn.Subprotocol())
	}
	if conn.Value() != nil {
		t.Errorf("value: got %v, want nil", conn.Value())
	}
	conn.SetValue(7)
	conn.SetValue("seven")
	if conn.Value() != "seven" {
		t.Errorf("value: got %v, want seven", conn.Value())
	}
	for _, kind := range []int{1, 2} { // text, and binary that is text
		if err := ws.WriteMessage(kind, []byte(`{"a":"ä"}`)); err != nil {
			t.Fatal(err)
		}
		wantText(t, ws, `{"a":"ä"}`)
	}
	ws.WriteControl(8, []byte{0x03, 0xe8}, time.Now().Add(time.Second))
	wantClose(t, ws, 1000)
	if r := b.down(t); r.Code != 1000 || !r.Remote {
		t.Errorf("reason: got %v, want 1000 by the peer", r)
	}
	recv(t, "Done", closedOf(conn.Done()))
	if err := conn.Send([]byte("x")); !errors.Is(err, websocket.ErrClosed) {
		t.Errorf("Send after the end: got %v, want ErrClosed", err)
	}
	waitFor(t, "no connections", func() bool { return b.Conns() == 0 })
}

// closedOf turns the closing of a channel into a value.
func closedOf(ch <-chan struct{}) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() { <-ch; out <- struct{}{} }()
	return out
}

func TestOrder(t *testing.T) {
	t.Parallel()
	const n, peers = 2000, 5
	b := start(t, websocket.Config{QueueMessages: n * 2}, func(m websocket.Message) {
		m.Conn.Send(m.Body)
		m.Conn.Release(1)
	})
	var all sync.WaitGroup
	for range peers {
		ws := b.dial(t, nil)
		all.Go(func() {
			for i := range n {
				if err := ws.WriteMessage(1, []byte(numbered(i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
		all.Go(func() {
			for i := range n {
				if _, p, err := ws.ReadMessage(); err != nil || string(p) != numbered(i) {
					t.Errorf("got %q, %v, want %q", p, err, numbered(i))
					return
				}
			}
		})
	}
	all.Wait()
}

func TestSendFromManyGoroutines(t *testing.T) {
	t.Parallel()
	const n, senders = 300, 4
	b := start(t, websocket.Config{QueueMessages: n * senders}, nil)
	ws := b.dial(t, nil)
	conn := b.up(t)
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for range n {
				if err := conn.Send([]byte{'a' + byte(s)}); err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		})
	}
	counts := map[string]int{}
	for range n * senders {
		_, p, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		counts[string(p)]++
	}
	all.Wait()
	for s := range senders {
		if got := counts[string('a'+rune(s))]; got != n {
			t.Errorf("sender %d: got %d messages, want %d", s, got, n)
		}
	}
}

// A connection whose messages are not released stops being read; released, it goes on.
func TestWindow(t *testing.T) {
	t.Parallel()
	seen := make(chan websocket.Message, 100)
	b := start(t, websocket.Config{Window: 3}, func(m websocket.Message) { seen <- m })
	ws, other := b.dial(t, nil), b.dial(t, nil)
	for i := range 10 {
		if err := ws.WriteMessage(1, []byte(numbered(i))); err != nil {
			t.Fatal(err)
		}
	}
	var conn *websocket.Conn
	for i := range 3 {
		m := recv(t, "a message", seen)
		conn = m.Conn
		if string(m.Body) != numbered(i) {
			t.Fatalf("got %q, want %q", m.Body, numbered(i))
		}
	}
	// Another connection is read meanwhile; and what it sends comes next, not the fourth of the first.
	other.WriteMessage(1, []byte("other"))
	if m := recv(t, "the other's message", seen); string(m.Body) != "other" {
		t.Fatalf("got %q through a full window", m.Body)
	}
	for i := 3; i < 10; i++ {
		conn.Release(1)
		if m := recv(t, "a message", seen); string(m.Body) != numbered(i) {
			t.Fatalf("got %q, want %q", m.Body, numbered(i))
		}
	}
}

// A connection that is not read because its window is full is not taken for a silent one, and can be
// closed.
func TestWindowFullAndIdle(t *testing.T) {
	t.Parallel()
	seen := make(chan websocket.Message, 100)
	b := start(t, websocket.Config{Window: 1, PingInterval: 20 * time.Millisecond, PongTimeout: 500 * time.Millisecond},
		func(m websocket.Message) { seen <- m })
	ws := b.dial(t, nil)
	ws.WriteMessage(1, []byte("one"))
	m := recv(t, "a message", seen)
	wait := time.NewTimer(time.Second) // longer than ping and pong together
	<-wait.C
	ws.WriteMessage(1, []byte("two"))
	m.Conn.Release(1)
	if m := recv(t, "a message", seen); string(m.Body) != "two" {
		t.Fatalf("got %q, want two", m.Body)
	}
	m.Conn.CloseAfterFlush(websocket.SessionEnded, "", time.Second)
	wantClose(t, ws, websocket.SessionEnded)
	if r := b.down(t); r.Code != websocket.SessionEnded {
		t.Errorf("reason: got %v, want 4401", r)
	}
}

// A subscriber that is stuck does not keep Run from ending.
func TestRunEndsWithStuckSubscriber(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	entered := make(chan struct{}, 1000)
	b := start(t, websocket.Config{Buffer: 1, WriteTimeout: time.Second}, func(websocket.Message) { entered <- struct{}{}; <-release })
	ws := b.dial(t, nil)
	for range 20 {
		ws.WriteMessage(1, []byte("x"))
	}
	recv(t, "a message in the handler", entered)
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	wantClose(t, ws, websocket.GoingAway)
	close(release)
	recv(t, "Run to end", closedOf(stopped))
}

func TestDrain(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	const n = 20
	conns := make([]*websocket.Client, n)
	for i := range conns {
		c, err := websocket.Dial(context.Background(), b.url, websocket.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
		conn := b.up(t)
		conn.Send([]byte("last words"))
	}
	b.StopAccepting()
	_, err := websocket.Dial(context.Background(), b.url, websocket.ClientConfig{})
	var he *websocket.HandshakeError
	if !errors.As(err, &he) || he.Status != http.StatusServiceUnavailable {
		t.Errorf("dial after StopAccepting: got %v, want 503", err)
	}
	if b.Conns() != n {
		t.Errorf("Conns: got %d, want %d", b.Conns(), n)
	}
	b.stop()
	for _, c := range conns {
		if got := recv(t, "the last words", c.Messages()); string(got) != "last words" {
			t.Errorf("got %q", got)
		}
		recv(t, "the end", closedOf(c.Done()))
		if c.CloseCode() != websocket.GoingAway {
			t.Errorf("close code: got %d, want 1001", c.CloseCode())
		}
		if r := b.down(t); r.Code != websocket.GoingAway || r.Remote {
			t.Errorf("reason: got %v, want 1001 of our own", r)
		}
	}
	if b.Conns() != 0 {
		t.Errorf("Conns: got %d, want 0", b.Conns())
	}
	if err := b.Run(context.Background()); !errors.Is(err, websocket.ErrRunning) {
		t.Errorf("second Run: got %v, want ErrRunning", err)
	}
}

func TestCloseAfterFlush(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	ws := b.dial(t, nil)
	conn := b.up(t)
	const n = 500
	for i := range n {
		conn.Send([]byte(numbered(i)))
	}
	conn.CloseAfterFlush(websocket.SessionEnded, strings.Repeat("ä", 100), 10*time.Second)
	if err := conn.Send([]byte("late")); !errors.Is(err, websocket.ErrClosed) {
		t.Errorf("Send: got %v, want ErrClosed", err)
	}
	conn.CloseAfterFlush(websocket.Normal, "second", time.Second)
	for i := range n {
		wantText(t, ws, numbered(i))
	}
	wantClose(t, ws, websocket.SessionEnded)
	if r := b.down(t); r.Code != websocket.SessionEnded || r.Remote || len(r.Reason) > 123 {
		t.Errorf("reason: got %v, want 4401 of our own", r)
	}
}

// Codes that must not stand in a close frame do not.
func TestReservedCloseCodes(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 5000, 70000} {
		ws := b.dial(t, nil)
		b.up(t).CloseAfterFlush(code, "", time.Second)
		wantClose(t, ws, websocket.Normal)
	}
}

func TestMaxConns(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{MaxConns: 2}, nil)
	first := b.dial(t, nil)
	b.dial(t, nil)
	_, err := websocket.Dial(context.Background(), b.url, websocket.ClientConfig{})
	var he *websocket.HandshakeError
	if !errors.As(err, &he) || he.Status != http.StatusServiceUnavailable {
		t.Errorf("third: got %v, want 503", err)
	}
	first.Close()
	waitFor(t, "a free place", func() bool { return b.Conns() < 2 })
	b.dial(t, nil)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]websocket.Config{
		"Origins":       {Origins: []string{"chat.example"}},
		"Origins:":      {Origins: []string{"https://chat.example/"}},
		"MaxMessage":    {MaxMessage: -1},
		"QueueMessages": {QueueMessages: -1},
		"Window":        {Window: -1},
		"PingInterval":  {PingInterval: -1},
	} {
		if _, err := websocket.NewBridge(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
