package websocket

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	readBuffer  = 1 << 10  // per connection, for its whole life
	writeBuffer = 1 << 10  // pooled
	corkLimit   = 64 << 10 // what is written at once at most, but for one message
)

var (
	errSilent  = errors.New("no answer to a ping")
	errSlow    = errors.New("a message took too long")
	errDust    = errors.New("too many fragments in a message")
	errPlenty  = errors.New("too many control frames")
	errTimeout = errors.New("no answer to the close frame")
)

// wire stands between gorilla and the network connection. Writes are only held, and flush sends all
// that is held in one system call: so the frames of many messages cost one, gorilla never blocks in a
// write, and frames that it writes by itself keep their place among ours. Reads keep the connection
// alive: when the read deadline passes, the peer is pinged, or given up.
type wire struct {
	net.Conn
	conn *Conn

	mu   sync.Mutex
	held *[]byte // nil while there is nothing

	// The reader's own.
	heard    time.Time // when bytes last came
	pinged   time.Time // zero: not since bytes last came
	within   bool      // a message has begun and not ended
	slowAt   time.Time // when that message has taken too long; zero until its bytes are waited for
	overhead int       // its bytes on the wire less its payload
}

func (w *wire) init(c *Conn) { w.conn = c }

// Write holds p for the next flush. Only gorilla calls it.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = w.conn.bridge.corks.Get().(*[]byte)
	}
	*w.held = append(*w.held, p...)
	return len(p), nil
}

// SetDeadline does nothing: the deadlines are the wire's own, and gorilla clears them.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing, as SetDeadline.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing, as SetDeadline.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// flush sends what is held. One goroutine at a time calls it: the handshake, then the writer.
func (w *wire) flush(timeout time.Duration) error {
	w.mu.Lock()
	p := w.held
	w.held = nil
	w.mu.Unlock()
	if p == nil {
		return nil
	}
	w.conn.armWrite(timeout)
	_, err := w.Conn.Write(*p)
	w.conn.bridge.recycle(&w.conn.bridge.corks, p)
	return err
}

// recycle puts a buffer back, unless a large message has made it large.
func (b *Bridge) recycle(pool *sync.Pool, p *[]byte) {
	if cap(*p) > 2*corkLimit {
		return
	}
	*p = (*p)[:0]
	pool.Put(p)
}

// closeWrite ends our half of the connection, so that a peer which has read the close frame sees the
// end at once, and one that has not yet read it does not lose it to a reset.
func (w *wire) closeWrite() {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the connection may be gone, which is what is wanted
	}
}

// begin and end enclose the reading of one message.
func (w *wire) begin() { w.within, w.slowAt, w.overhead = true, time.Time{}, 0 }

func (w *wire) end() { w.within = false }

// refresh counts the peer as heard of: the time that we did not read is not its silence.
func (w *wire) refresh() { w.heard, w.pinged = time.Now(), time.Time{} }

// Read is called by the reader only.
func (w *wire) Read(p []byte) (int, error) {
	if err := w.beforeRead(); err != nil {
		return 0, err
	}
	for {
		n, err := w.Conn.Read(p)
		if n > 0 {
			w.refresh()
			w.overhead += n
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := w.wake(); err != nil {
			return 0, err
		}
	}
}

// beforeRead bounds what one message may cost: when it asks for more bytes than it had at first, a
// timer starts, and fragments are paid for.
func (w *wire) beforeRead() error {
	if !w.within {
		return nil
	}
	if w.overhead > w.conn.bridge.cfg.MaxOverhead+readBuffer {
		return errDust
	}
	if w.slowAt.IsZero() {
		w.slowAt = time.Now().Add(w.conn.bridge.cfg.MaxMessageTime)
		w.conn.armRead(w.slowAt)
	}
	return nil
}

// wake is called when the read deadline has passed. Bytes do not move the deadline, which would cost a
// timer operation each: it stands, and what it means is looked up when it fires.
func (w *wire) wake() error {
	c, cfg, now := w.conn, &w.conn.bridge.cfg, time.Now()
	if over, closing := c.overdue(now); closing {
		if over {
			return errTimeout
		}
		return nil
	}
	if w.within && !now.Before(w.slowAt) {
		return errSlow
	}
	next := w.heard.Add(cfg.PingInterval)
	if !now.Before(next) {
		if w.pinged.IsZero() {
			w.pinged = now
			c.ping()
		}
		next = w.pinged.Add(cfg.PongTimeout)
		if !now.Before(next) {
			return errSilent
		}
	}
	if w.within && w.slowAt.Before(next) {
		next = w.slowAt
	}
	c.armRead(next)
	return nil
}
