package websocket_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

func TestClient(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := start(t, websocket.Config{Authenticate: only("good")}, nil)
	c, err := websocket.Dial(ctx, b.url, websocket.ClientConfig{Session: "good", Origin: "http://" + b.addr})
	if err != nil {
		t.Fatal(err)
	}
	conn := b.up(t)
	if conn.Identity() != "user of good" || conn.Subprotocol() != websocket.SubprotocolV1 {
		t.Errorf("got identity %v, subprotocol %q", conn.Identity(), conn.Subprotocol())
	}
	if c.Err() != nil || c.CloseCode() != 0 {
		t.Errorf("open: got %v, %d", c.Err(), c.CloseCode())
	}
	for i := range 100 {
		if err := c.Send(ctx, []byte(numbered(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if got := recv(t, "an echo", c.Messages()); string(got) != numbered(i) {
			t.Fatalf("got %q, want %q", got, numbered(i))
		}
	}
	c.Close()
	c.Close()
	if c.CloseCode() != websocket.Normal {
		t.Errorf("close code: got %d, want 1000", c.CloseCode())
	}
	if err := c.Send(ctx, []byte("late")); !errors.Is(err, websocket.ErrClosed) {
		t.Errorf("Send: got %v, want ErrClosed", err)
	}
	if _, open := <-c.Messages(); open {
		t.Error("Messages is still open")
	}
}

func TestClientIsTold(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{Authenticate: only("good")}, nil)
	for want, cfg := range map[int]websocket.ClientConfig{
		401: {Session: "bad"},
		403: {Origin: "https://evil.example"},
		503: {Session: "outage"},
	} {
		var he *websocket.HandshakeError
		if _, err := websocket.Dial(t.Context(), b.url, cfg); !errors.As(err, &he) || he.Status != want {
			t.Errorf("got %v, want %d", err, want)
		}
	}
	c, err := websocket.Dial(t.Context(), b.url, websocket.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.up(t).CloseAfterFlush(websocket.Replaced, "newer connection", time.Second)
	recv(t, "the end", closedOf(c.Done()))
	var ce *websocket.CloseError
	if !errors.As(c.Err(), &ce) || ce.Code != websocket.Replaced || !ce.Remote || ce.Reason != "newer connection" {
		t.Errorf("got %v, want 4409 with its reason", c.Err())
	}
}

// A client whose messages nobody takes can be closed.
func TestClientClosesUnread(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	c, err := websocket.Dial(t.Context(), b.url, websocket.ClientConfig{Buffer: 1})
	if err != nil {
		t.Fatal(err)
	}
	conn := b.up(t)
	for range 10 {
		conn.Send([]byte("x"))
	}
	c.Close()
	recv(t, "the end", closedOf(c.Done()))
	b.down(t)
}

// A silent bridge is given up.
func TestClientIdle(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	c, err := websocket.Dial(t.Context(), b.url, websocket.ClientConfig{IdleTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	recv(t, "the end", closedOf(c.Done()))
	if c.Err() == nil {
		t.Error("got no error")
	}
}

func TestClientSendEndsWithContext(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{Window: 1}, func(websocket.Message) {}) // never releases, so never reads on
	c, err := websocket.Dial(t.Context(), b.url, websocket.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	body := []byte(strings.Repeat("x", 60_000))
	for err == nil {
		err = c.Send(ctx, body)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send: got %v, want the end of ctx", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	server := httptest.NewUnstartedServer(b)
	server.Config = websocket.NewServer("", b)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	url := "wss" + strings.TrimPrefix(server.URL, "https")
	cfg := websocket.ClientConfig{TLS: &tls.Config{RootCAs: roots}, Origin: server.URL}
	c, err := websocket.Dial(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(t.Context(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := recv(t, "the echo", c.Messages()); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
	b.up(t).CloseAfterFlush(websocket.SessionEnded, "", time.Second)
	recv(t, "the end", closedOf(c.Done()))
	if c.CloseCode() != websocket.SessionEnded {
		t.Errorf("close code: got %v, want 4401", c.Err())
	}
	cfg.Origin = strings.Replace(server.URL, "https", "http", 1) // a page that anybody on the way may have written
	var he *websocket.HandshakeError
	if _, err := websocket.Dial(t.Context(), url, cfg); !errors.As(err, &he) || he.Status != 403 {
		t.Errorf("plain origin: got %v, want 403", err)
	}
}
