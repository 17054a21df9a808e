package websocket

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	gorilla "github.com/gorilla/websocket"
)

// closeWait is how long a peer has to answer a close frame.
const closeWait = time.Second

// Conn is one connection. Its methods are safe for concurrent use and none of them blocks.
type Conn struct {
	bridge      *Bridge
	ws          *gorilla.Conn
	wire        wire
	cancel      context.CancelFunc // ends the publishing, not the reading
	key         uint64
	remote      string
	subprotocol string
	identity    any
	done        chan struct{}
	value       atomic.Pointer[any]

	unreleased atomic.Int64
	parked     atomic.Pointer[chan struct{}] // where the reader waits for Release
	control    allowance                     // the reader's own

	writers sync.WaitGroup // one writer at most, joined by the reader

	mu       sync.Mutex
	queue    [][]byte // not yet taken by the writer
	messages int      // queued, those being written included
	bytes    int64    // of them
	pong     []byte   // answer to the latest ping; nil: none is due
	pingDue  bool
	writing  bool // a writer runs
	closing  bool // nothing more is queued
	closeDue bool // the close frame is to be written when the queue is empty
	closeBy  time.Time
	readBy   time.Time // when closing: the end of waiting for the peer
	reason   CloseError
}

// attach completes a connection with what the upgrade gave.
func (c *Conn) attach(ws *gorilla.Conn) {
	c.ws = ws
	ws.SetReadLimit(2 * c.bridge.cfg.MaxMessage)
	ws.SetPingHandler(c.onPing)
	ws.SetPongHandler(c.onPong)
	ws.SetCloseHandler(func(int, string) error { return nil }) // answered by the reader's end
	c.wire.refresh()
	c.armRead(c.wire.heard.Add(c.bridge.cfg.PingInterval))
}

// abandon ends a connection that Run did not take over.
func (c *Conn) abandon() {
	_ = c.ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(GoingAway, ""), time.Time{}) // only held
	_ = c.wire.flush(closeWait)                                                                         // it is lost either way
	c.wire.Close()
	close(c.done)
}

// Key is unique among the connections of the bridge, and never zero.
func (c *Conn) Key() uint64 { return c.key }

// RemoteAddr is the address of the peer, or of the proxy before it.
func (c *Conn) RemoteAddr() string { return c.remote }

// Identity is what Config.Authenticate returned, or nil when no session came with the handshake.
func (c *Conn) Identity() any { return c.identity }

// Subprotocol is SubprotocolV1 when the client offered it, else empty.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Done is closed when the connection has ended and its Down event was published.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Value is what SetValue last stored; nil at first.
func (c *Conn) Value() any {
	if p := c.value.Load(); p != nil {
		return *p
	}
	return nil
}

// SetValue keeps something of the caller's with the connection.
func (c *Conn) SetValue(v any) { c.value.Store(&v) }

// Release says that n messages have been dealt with. It opens the window for as many more.
func (c *Conn) Release(n int) {
	if c.unreleased.Add(int64(-n)) < int64(c.bridge.cfg.Window) {
		if p := c.parked.Swap(nil); p != nil {
			close(*p)
		}
	}
}

// BacklogBytes is how many bytes of messages are queued and not yet written.
func (c *Conn) BacklogBytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.bytes)
}

// awaitWindow blocks the reader while the window is full, or until ctx ends.
func (c *Conn) awaitWindow(ctx context.Context) {
	for c.unreleased.Load() >= int64(c.bridge.cfg.Window) {
		room := make(chan struct{})
		c.parked.Store(&room)
		if c.unreleased.Load() < int64(c.bridge.cfg.Window) {
			return // released before parked was set
		}
		select {
		case <-room:
		case <-ctx.Done():
			return
		}
	}
}

// armRead sets the read deadline, unless the connection is closing: then it stands.
func (c *Conn) armRead(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		t = c.readBy
	}
	_ = c.wire.Conn.SetReadDeadline(t) // fails only when closed, and then reads fail too
}

// armWrite sets the write deadline, to the end of closing at the latest.
func (c *Conn) armWrite(timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := time.Now().Add(timeout)
	if c.closing && c.closeBy.Before(t) {
		t = c.closeBy
	}
	_ = c.wire.Conn.SetWriteDeadline(t) // as above
}

// overdue reports whether the connection is closing, and whether the wait for the peer is over; if it
// is not, the deadline is set to its end.
func (c *Conn) overdue(now time.Time) (over, closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		return false, false
	}
	if !now.Before(c.readBy) {
		return true, true
	}
	_ = c.wire.Conn.SetReadDeadline(c.readBy) // as above
	return false, true
}
