package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	gorilla "github.com/gorilla/websocket"
)

// ClientConfig says how to connect. Every zero value is usable.
type ClientConfig struct {
	Session string      // sent as Authorization: Bearer; empty: none
	Origin  string      // sent as Origin; empty: none, as programs do
	Header  http.Header // further request headers
	TLS     *tls.Config // for wss; nil means the defaults

	MaxMessage       int64         // bytes; 0 means 1 MiB
	Buffer           int           // messages held for the reader of Messages; 0 means 64. Full: the socket is not read
	IdleTimeout      time.Duration // silence of the bridge, pings included, that ends the connection; 0 means 90 s
	WriteTimeout     time.Duration // 0 means 10 s; an earlier deadline of ctx wins
	HandshakeTimeout time.Duration // 0 means 10 s
}

func (c *ClientConfig) setDefaults() {
	c.MaxMessage = or(c.MaxMessage, 1<<20)
	c.Buffer = max(or(c.Buffer, 64), 1)
	c.IdleTimeout = or(c.IdleTimeout, 90*time.Second)
	c.WriteTimeout = or(c.WriteTimeout, 10*time.Second)
	c.HandshakeTimeout = or(c.HandshakeTimeout, 10*time.Second)
}

// HandshakeError is returned by Dial when the bridge refused: 401 for the session, 403 for the origin,
// 503 when it is full or draining.
type HandshakeError struct{ Status int }

// Error names the status.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("websocket: handshake refused: %d %s", e.Status, http.StatusText(e.Status))
}

// Client is one connection to a bridge. Its methods are safe for concurrent use.
type Client struct {
	ws       *gorilla.Conn
	cfg      ClientConfig
	messages chan []byte
	writing  chan struct{} // holds a token while somebody writes
	closing  chan struct{} // closed by Close
	done     chan struct{} // closed when the reader has ended
	once     sync.Once
	err      *CloseError // set before done is closed
}

// Dial connects to url (ws://host:port/ws, or wss) within ctx. Close must be called in the end.
func Dial(ctx context.Context, url string, cfg ClientConfig) (*Client, error) {
	cfg.setDefaults()
	header := cfg.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if cfg.Session != "" {
		header.Set("Authorization", "Bearer "+cfg.Session)
	}
	if cfg.Origin != "" {
		header.Set("Origin", cfg.Origin)
	}
	d := gorilla.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		TLSClientConfig:  cfg.TLS,
		HandshakeTimeout: cfg.HandshakeTimeout,
		Subprotocols:     []string{SubprotocolV1},
		ReadBufferSize:   4 << 10,
		WriteBufferSize:  4 << 10,
	}
	ws, response, err := d.DialContext(ctx, url, header)
	if err != nil {
		if response != nil && errors.Is(err, gorilla.ErrBadHandshake) {
			return nil, &HandshakeError{Status: response.StatusCode}
		}
		return nil, fmt.Errorf("websocket: dial: %w", err)
	}
	c := &Client{
		ws:       ws,
		cfg:      cfg,
		messages: make(chan []byte, cfg.Buffer),
		writing:  make(chan struct{}, 1),
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	c.prepare()
	go c.read() // joined by Close
	return c, nil
}

func (c *Client) prepare() {
	c.ws.SetReadLimit(c.cfg.MaxMessage)
	c.ws.SetPingHandler(func(data string) error {
		c.alive()
		err := c.ws.WriteControl(gorilla.PongMessage, []byte(data), time.Now().Add(c.cfg.WriteTimeout))
		if errors.Is(err, gorilla.ErrCloseSent) {
			return nil
		}
		return err
	})
	c.alive()
}

// alive moves the end of the bridge's silence.
func (c *Client) alive() {
	_ = c.ws.SetReadDeadline(time.Now().Add(c.cfg.IdleTimeout)) // if it fails, so does the read
}

// read passes messages on until the connection ends.
func (c *Client) read() {
	defer close(c.messages)
	defer close(c.done) // first: who has seen the end of Messages asks why
	defer c.ws.Close()
	for {
		_, body, err := c.ws.ReadMessage()
		if err != nil {
			reason := explain(err)
			c.err = &reason
			return
		}
		c.alive()
		select {
		case c.messages <- body:
		case <-c.closing: // nobody may be receiving any more; read on to the close frame
			_ = c.ws.SetReadDeadline(time.Now().Add(closeWait))
		}
	}
}

// Messages is what the bridge sends. It is closed when the connection has ended.
func (c *Client) Messages() <-chan []byte { return c.messages }

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Send writes body as one text message. If ctx ends while it does, the connection is broken.
func (c *Client) Send(ctx context.Context, body []byte) error {
	select {
	case c.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return ErrClosed
	}
	defer func() { <-c.writing }()
	by := time.Now().Add(c.cfg.WriteTimeout)
	t, ok := ctx.Deadline()
	early := ok && t.Before(by)
	if early {
		by = t
	}
	_ = c.ws.SetWriteDeadline(by) // gorilla only notes it
	stop := context.AfterFunc(ctx, func() { _ = c.ws.NetConn().SetWriteDeadline(time.Now()) })
	defer stop()
	err := c.ws.WriteMessage(gorilla.TextMessage, body)
	var timeout net.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case early && errors.As(err, &timeout) && timeout.Timeout():
		return context.DeadlineExceeded // the socket's timer was the faster one
	case errors.Is(err, gorilla.ErrCloseSent), errors.Is(err, net.ErrClosed):
		return ErrClosed
	}
	return fmt.Errorf("websocket: send: %w", err)
}

// Close closes with Normal, waits a second at most for the bridge to answer, and joins the reader.
// Calls after the first wait too.
func (c *Client) Close() error {
	c.once.Do(func() {
		soon := time.Now().Add(closeWait)
		_ = c.ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(Normal, ""), soon) // ends by itself if it cannot
		_ = c.ws.SetReadDeadline(soon)
		close(c.closing)
	})
	timer := time.NewTimer(2 * closeWait)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C: // the bridge keeps sending
		c.ws.Close()
		<-c.done
	}
	return nil
}

// CloseCode is the code with which the connection ended, Abnormal if it was lost, 0 while it is open.
func (c *Client) CloseCode() int {
	select {
	case <-c.done:
		return c.err.Code
	default:
		return 0
	}
}

// Err is nil while the connection is open, then a *CloseError.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}
