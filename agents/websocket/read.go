package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"
)

// run is the life of a connection: Up, messages, Down.
func (c *Conn) run(ctx context.Context) {
	defer close(c.done)
	defer c.bridge.unregister(c)
	defer c.cancel()
	up := c.bridge.events.Publish(ctx, Event{Kind: Up, Conn: c}) == nil
	c.finish(c.read(ctx))
	if !up {
		return
	}
	// The end of ctx is no reason to keep the end of the connection secret, but a stuck subscriber is.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.bridge.cfg.WriteTimeout)
	defer cancel()
	reason := c.reason // written once, before closing was set, which finish has seen
	if err := c.bridge.events.Publish(ctx, Event{Kind: Down, Conn: c, Reason: &reason}); err != nil {
		c.bridge.cfg.Logger.Error("end of a connection not published", "conn", c.key, "err", err)
	}
}

// read publishes messages until the connection fails or is closed. While it is closing, messages are
// read and discarded: the peer's close frame comes behind them.
func (c *Conn) read(ctx context.Context) error {
	for {
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return err
		}
		c.wire.begin()
		body, tooLarge, err := c.readBody(r)
		c.wire.end()
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			continue
		case utf8.Valid(body):
		case kind == gorilla.BinaryMessage:
			return &CloseError{Code: Unsupported, Reason: "binary message is not text"}
		default:
			return &CloseError{Code: InvalidUTF8, Reason: "invalid UTF-8"}
		}
		c.unreleased.Add(1)
		if c.bridge.messages.Publish(ctx, Message{Conn: c, Body: body, TooLarge: tooLarge}) != nil {
			continue // ctx has ended
		}
		c.awaitWindow(ctx)
		c.wire.refresh()
	}
}

// readBody gives the message in memory of its own size. One that is too large is read to its end.
func (c *Conn) readBody(r io.Reader) (body []byte, tooLarge bool, err error) {
	limit := int(c.bridge.cfg.MaxMessage)
	scratch := c.bridge.scratch.Get().(*[]byte)
	defer func() { c.bridge.recycle(&c.bridge.scratch, scratch) }()
	buf := (*scratch)[:0]
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		c.wire.overhead -= n
		buf = buf[:len(buf)+n]
		if tooLarge || len(buf) > limit {
			tooLarge, buf = true, buf[:0]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false, err
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
			*scratch = buf
		}
	}
	if tooLarge {
		return nil, true, nil
	}
	return append(make([]byte, 0, len(buf)), buf...), false, nil
}

// finish closes the connection for the reason that ended the reading, and joins the writer.
func (c *Conn) finish(err error) {
	reason := explain(err)
	c.shut(reason, closing{timeout: closeWait, drop: true})
	c.hurry()
	c.writers.Wait()
	if !reason.Remote && !errors.Is(err, errTimeout) {
		c.linger()
	}
	c.wire.Close()
}

// linger reads on after our close frame was written, for a second at most: a socket that is closed with
// unread bytes in it is reset, and the peer may lose the frame.
func (c *Conn) linger() {
	_ = c.wire.Conn.SetReadDeadline(time.Now().Add(closeWait)) // if it fails, so does the read
	scratch := c.bridge.scratch.Get().(*[]byte)
	defer c.bridge.recycle(&c.bridge.scratch, scratch)
	for {
		if _, err := c.wire.Conn.Read((*scratch)[:cap(*scratch)]); err != nil {
			return
		}
	}
}

// explain makes a close code of what gorilla or the wire returned.
func explain(err error) CloseError {
	var ours *CloseError
	var theirs *gorilla.CloseError
	var network net.Error
	switch {
	case errors.As(err, &ours):
		return *ours
	case errors.As(err, &theirs):
		return CloseError{Code: theirs.Code, Reason: theirs.Text, Remote: true}
	case errors.Is(err, gorilla.ErrReadLimit):
		return CloseError{Code: TooBig, Reason: "message too big", Err: err}
	case errors.Is(err, errSilent), errors.Is(err, errSlow), errors.Is(err, errTimeout):
		return CloseError{Code: Idle, Reason: err.Error(), Err: err}
	case errors.Is(err, errDust):
		return CloseError{Code: TooBig, Reason: err.Error(), Err: err}
	case errors.Is(err, errPlenty):
		return CloseError{Code: RateLimited, Reason: err.Error(), Err: err}
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return CloseError{Code: Abnormal, Remote: true, Err: err}
	}
	return CloseError{Code: ProtocolError, Reason: "protocol error", Err: err} // of gorilla, which names it in a string only
}

// onPing answers the latest ping only, as RFC 6455 section 5.5.3 allows: unread pongs do not pile up.
func (c *Conn) onPing(data string) error {
	if !c.control.take(time.Now()) {
		return errPlenty
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.pong = append(make([]byte, 0, len(data)), data...)
		c.startWriter()
	}
	return nil
}

func (c *Conn) onPong(string) error {
	if !c.control.take(time.Now()) {
		return errPlenty
	}
	return nil
}

// allowance is a token bucket for control frames.
type allowance struct {
	spent int
	since time.Time
}

const (
	controlBurst = 64
	controlRate  = 16 // a second
)

func (a *allowance) take(now time.Time) bool {
	if back := int(now.Sub(a.since).Seconds() * controlRate); back > 0 {
		a.spent, a.since = max(0, a.spent-back), now
	}
	a.spent++
	return a.spent <= controlBurst
}
