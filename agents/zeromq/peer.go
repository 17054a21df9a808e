package zeromq

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// Peer is one connection of a Router. Its methods are safe for concurrent use.
type Peer struct {
	router *Router
	key    uint64
	id     string
	addr   string
	minor  byte

	mechanism, userID string

	conn   net.Conn
	sealer *curve.Sealer // nil: frames travel as they are
	out    outbox
	value  atomic.Pointer[any]
	done   chan struct{}

	up         atomic.Bool   // the handshake is complete
	reading    atomic.Bool   // false while the window or a subscriber holds the reader back
	heard      atomic.Int64  // when it last sent something, UnixNano
	pinged     atomic.Int64  // when it was last sent a PING unasked
	probed     chan struct{} // capacity 1; it sent something while probing
	probing    atomic.Int32
	leave      func() // what Admit returned; the connection's goroutine only
	unreleased atomic.Int64
	held       atomic.Bool   // the reader waits for room in the window
	room       chan struct{} // capacity 1

	mu     sync.Mutex
	stop   context.CancelFunc // ends reading
	reason error              // why it was closed; the first counts
	flush  time.Duration      // of CloseAfterFlush; 0 means not asked for
}

// RoutingID is the peer's routing id, its own or one invented for it.
func (p *Peer) RoutingID() string { return p.id }

// Backlog is how many messages are queued for this peer and not yet being written.
func (p *Peer) Backlog() int { return p.out.backlog() }

// BacklogBytes is how many bytes are queued for this peer and not yet written.
func (p *Peer) BacklogBytes() int { return p.out.backlogBytes() }

// RemoteAddr is the network address of the peer's end.
func (p *Peer) RemoteAddr() string { return p.addr }

// Mechanism is what the connection was secured with: NULL, PLAIN or CURVE.
func (p *Peer) Mechanism() string { return p.mechanism }

// UserID is who Security's authenticator says the peer is, with CURVE its Authorise; empty without one.
func (p *Peer) UserID() string { return p.userID }

// Key is unique to this connection and never reused; the routing id may come back on another.
func (p *Peer) Key() uint64 { return p.key }

// Done is closed when the connection has ended and PeerDown has been published.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Value returns what SetValue stored, or nil. It is one slot for the user of the peer.
func (p *Peer) Value() any {
	if v := p.value.Load(); v != nil {
		return *v
	}
	return nil
}

// SetValue stores v.
func (p *Peer) SetValue(v any) { p.value.Store(&v) }

// Send queues one message and returns at once. When the queue is full the peer is closed and ErrFull
// returned; a closed or closing peer returns ErrClosed. A message of up to 8 KB is copied; the bytes of a
// longer one must not be modified afterwards: several peers may be sent the same.
func (p *Peer) Send(frames ...[]byte) error {
	err := p.out.push(frames)
	if errors.Is(err, ErrFull) {
		p.router.stats.overflows.Add(1)
		p.Close(ErrFull)
	}
	return err
}

// Release says that n messages of this peer have been dealt with, TooLarge ones included. Until then they
// count against the window. With several subscribers of Messages one of them releases.
func (p *Peer) Release(n int) {
	window := int64(p.router.cfg.Window)
	if p.unreleased.Add(-int64(n)) <= window*3/4 && p.held.CompareAndSwap(true, false) {
		p.room <- struct{}{}
	}
}

// awaitRoom waits until the window has room and returns how much.
func (p *Peer) awaitRoom(ctx context.Context) (int, error) {
	window := int64(p.router.cfg.Window)
	for {
		if n := window - p.unreleased.Load(); n > 0 {
			return int(n), nil
		}
		p.held.Store(true)
		if p.unreleased.Load() <= window*3/4 && p.held.CompareAndSwap(true, false) {
			continue
		}
		select {
		case <-p.room:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Close ends the connection at once and discards what is queued. It does not wait; Done does.
func (p *Peer) Close(reason error) {
	p.setReason(reason)
	p.out.close()
	p.endReading()
	p.conn.Close()
}

// CloseAfterFlush stops reading, writes what is queued, for timeout at most, and closes the connection. It
// returns at once. Later Sends return ErrClosed.
func (p *Peer) CloseAfterFlush(timeout time.Duration) {
	p.setReason(nil)
	p.mu.Lock()
	if p.flush == 0 {
		p.flush = max(timeout, time.Millisecond)
	}
	p.mu.Unlock()
	p.out.drain()
	p.endReading()
	p.conn.SetReadDeadline(time.Unix(1, 0))
}

func (p *Peer) setReason(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason == nil {
		p.reason = reason
	}
}

func (p *Peer) endReading() {
	p.mu.Lock()
	stop := p.stop
	p.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// serve reads the peer until it ends. It runs on the connection's goroutine.
func (p *Peer) serve(ctx context.Context, in *decoder) {
	p.finish(p.read(ctx, in))
}

func (p *Peer) read(ctx context.Context, in *decoder) error {
	for ctx.Err() == nil { // it may have been closed before reading could be interrupted
		p.reading.Store(true)
		batch, err := in.next()
		p.reading.Store(false)
		if err != nil {
			return err
		}
		if p.router.direct != nil {
			p.count(batch)
			p.router.direct(p, batch)
			continue
		}
		for len(batch) > 0 {
			n, err := p.awaitRoom(ctx)
			if err != nil {
				return err
			}
			n = min(n, len(batch))
			p.unreleased.Add(int64(n))
			p.count(batch[:n])
			if err := p.router.messages.PublishBatch(ctx, batch[:n]); err != nil {
				return err
			}
			batch = batch[n:]
		}
		p.heard.Store(time.Now().UnixNano()) // the wait was ours
	}
	return ctx.Err()
}

func (p *Peer) count(batch []Message) {
	p.router.stats.in.Add(uint64(len(batch)))
	for i := range batch {
		if batch[i].TooLarge {
			p.router.stats.tooLarge.Add(1)
		}
	}
}

// finish closes the connection, in order if that was asked for, and waits for the writer.
func (p *Peer) finish(err error) {
	p.mu.Lock()
	flush := p.flush
	p.mu.Unlock()
	if flush > 0 {
		timer := time.AfterFunc(flush, func() { p.Close(nil) })
		<-p.out.drain()
		if timer.Stop() {
			hangUp(p.conn)
		}
	}
	p.Close(err)
	p.out.wait()
}

// hangUp tells the peer that nothing more comes and reads a little, because closing a connection with
// unread input destroys what was written last.
func hangUp(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if conn.SetReadDeadline(time.Now().Add(250*time.Millisecond)) != nil {
		return
	}
	buf := make([]byte, 16<<10)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// why is the reason of the end.
func (p *Peer) why() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// onRead notes that the peer is alive.
func (p *Peer) onRead() {
	p.heard.Store(time.Now().UnixNano())
	if p.probing.Load() > 0 {
		select {
		case p.probed <- struct{}{}:
		default:
		}
	}
}

// ping asks for a sign of life. A full or stuck queue swallows the question, which is an answer too.
func (p *Peer) ping() {
	p.pinged.Store(time.Now().UnixNano())
	p.out.command("PING", []byte{0, 0})
}

// answers reports whether the peer says something within timeout. One that has just spoken is not asked, so
// strangers who claim its id cannot have it flooded; one whose reader is held back by us cannot be heard and
// counts as alive.
func (p *Peer) answers(ctx context.Context, timeout time.Duration) bool {
	began := time.Now()
	if began.Sub(time.Unix(0, p.heard.Load())) < timeout/16 {
		return true
	}
	select {
	case <-p.probed: // of an earlier question
	default:
	}
	p.probing.Add(1)
	defer p.probing.Add(-1)
	p.ping()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.probed:
		return true
	case <-p.done:
		return false
	case <-timer.C: // another who asked may have taken the sign
		return p.heard.Load() >= began.UnixNano() || !p.reading.Load()
	case <-ctx.Done():
		return true
	}
}
