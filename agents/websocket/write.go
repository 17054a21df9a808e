package websocket

import (
	"time"

	gorilla "github.com/gorilla/websocket"
)

// Backlog is how many messages are queued and not yet written.
func (c *Conn) Backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.messages
}

// Send queues body as one text message and returns at once. When the queue is full it returns ErrFull
// and the connection is closed with SlowConsumer; after any close it returns ErrClosed. body must be
// valid UTF-8 and must not be modified afterwards; the same body may be sent to any number of
// connections.
func (c *Conn) Send(body []byte) error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return ErrClosed
	}
	if c.messages >= c.bridge.cfg.QueueMessages || c.bytes+int64(len(body)) > c.bridge.cfg.QueueBytes {
		c.mu.Unlock()
		c.shut(CloseError{Code: SlowConsumer, Reason: "slow consumer", Err: ErrFull},
			closing{timeout: c.bridge.cfg.WriteTimeout, drop: true})
		return ErrFull
	}
	c.queue = append(c.queue, body)
	c.messages++
	c.bytes += int64(len(body))
	c.startWriter()
	c.mu.Unlock()
	return nil
}

// CloseAfterFlush stops the reading of messages, sends what is queued and then the close frame, and
// returns at once. After timeout the connection is cut, whatever is left; 0 means WriteTimeout. reason
// is cut to 123 bytes. Only the first close of a connection counts.
func (c *Conn) CloseAfterFlush(code int, reason string, timeout time.Duration) {
	if timeout <= 0 {
		timeout = c.bridge.cfg.WriteTimeout
	}
	c.shut(CloseError{Code: sendable(code), Reason: cutReason(reason)}, closing{timeout: timeout})
}

// closing says how to close.
type closing struct {
	timeout time.Duration // until the close frame must be out
	drop    bool          // do not send what is queued
}

// shut begins the close of a connection. The reader ends it.
func (c *Conn) shut(why CloseError, how closing) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.closing, c.closeDue = true, true
	c.reason = why
	if how.drop {
		c.queue = nil
	}
	c.pong, c.pingDue = nil, false
	c.closeBy = time.Now().Add(how.timeout)
	c.readBy = c.closeBy.Add(closeWait)
	_ = c.wire.Conn.SetWriteDeadline(c.closeBy) // for a write that hangs now; fails only when closed
	_ = c.wire.Conn.SetReadDeadline(c.readBy)
	c.startWriter()
	c.mu.Unlock()
	c.cancel()
}

// hurry shortens a close: the peer no longer reads what is queued.
func (c *Conn) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if soon := time.Now().Add(closeWait); soon.Before(c.closeBy) {
		c.closeBy = soon
		_ = c.wire.Conn.SetWriteDeadline(soon) // as in shut
	}
	c.queue = nil
}

// ping has a ping sent.
func (c *Conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.pingDue = true
		c.startWriter()
	}
}

// startWriter is called with mu held. Most of the time a connection has nothing to write, and no
// goroutine for it.
func (c *Conn) startWriter() {
	if !c.writing {
		c.writing = true
		c.writers.Go(c.drain)
	}
}

// drain writes until nothing is left to write.
func (c *Conn) drain() {
	var w work
	for c.take(&w) {
		if err := c.write(&w); err != nil {
			c.fail(err)
			return
		}
	}
}

// work is what the writer takes at once.
type work struct {
	bodies   [][]byte
	bytes    int64
	pong     []byte
	ping     bool
	closeDue bool
	reason   CloseError
}

// take settles the work done and gives the next, or false when there is none.
func (c *Conn) take(w *work) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages -= len(w.bodies)
	c.bytes -= w.bytes
	clear(w.bodies)
	*w = work{bodies: c.queue, pong: c.pong, ping: c.pingDue}
	c.queue, c.pong, c.pingDue = nil, nil, false
	for _, b := range w.bodies {
		w.bytes += int64(len(b))
	}
	if c.closeDue {
		w.closeDue, w.reason, c.closeDue = true, c.reason, false
	}
	c.writing = len(w.bodies) > 0 || w.pong != nil || w.ping || w.closeDue
	return c.writing
}

// write hands the work to gorilla, which frames it, and flushes the frames.
func (c *Conn) write(w *work) error {
	timeout := c.bridge.cfg.WriteTimeout
	if w.pong != nil {
		c.frame(gorilla.PongMessage, w.pong)
	}
	if w.ping {
		c.frame(gorilla.PingMessage, nil)
	}
	held := 0
	for _, body := range w.bodies {
		if err := c.ws.WriteMessage(gorilla.TextMessage, body); err != nil {
			break // gorilla itself has sent a close frame: nothing may follow it
		}
		if held += len(body); held >= corkLimit {
			if err := c.wire.flush(timeout); err != nil {
				return err
			}
			held = 0
		}
	}
	if !w.closeDue {
		return c.wire.flush(timeout)
	}
	if w.reason.Code != Abnormal {
		c.frame(gorilla.CloseMessage, closeFrame(w.reason))
	}
	if err := c.wire.flush(timeout); err != nil {
		return err
	}
	c.wire.closeWrite()
	c.awaitPeer()
	return nil
}

// frame writes a control frame. It fails only behind a close frame, where nothing may follow.
func (c *Conn) frame(kind int, data []byte) {
	_ = c.ws.WriteControl(kind, data, time.Time{})
}

// closeFrame answers a close of the peer with its own code, RFC 6455 section 5.5.1.
func closeFrame(r CloseError) []byte {
	if r.Remote {
		if r.Code == gorilla.CloseNoStatusReceived {
			return nil
		}
		return gorilla.FormatCloseMessage(r.Code, "")
	}
	return gorilla.FormatCloseMessage(sendable(r.Code), cutReason(r.Reason))
}

// awaitPeer gives the peer its time to answer the close frame that was just written.
func (c *Conn) awaitPeer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = time.Now().Add(closeWait)
	_ = c.wire.Conn.SetReadDeadline(c.readBy) // as in shut
}

// fail ends a connection that cannot be written to. The reader sees it closed.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		c.reason = CloseError{Code: Abnormal, Remote: true, Err: err}
	}
	c.queue, c.writing = nil, false
	c.mu.Unlock()
	c.cancel()
	c.wire.Close()
}
