package zeromq

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
)

// accept hands every connection to a goroutine of its own, so no stranger delays the next one.
func (r *Router) accept(ctx context.Context, l net.Listener, tasks *sync.WaitGroup) {
	defer l.Close()
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			tasks.Go(func() { r.serve(ctx, conn) })
			continue
		}
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if pause == 0 { // out of descriptors, most likely: say so once, not once for each try
			r.cfg.Logger.Error("zeromq: cannot accept, trying again", "addr", l.Addr().String(), "err", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		if !sleep(ctx, pause) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// serve is the life of one connection.
func (r *Router) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer r.conns.Add(-1)
	addr := remoteAddr(conn)
	if r.conns.Add(1) > int64(r.cfg.MaxConns) || !r.throttle.allow(conn.RemoteAddr(), time.Now()) {
		r.refuse(ctx, addr, ErrBusy)
		return
	}
	// Not cancelled by the end of Run, which closes peers one by one, after a flush.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	p, in, err := r.welcome(ctx, stop, conn, addr)
	if err != nil {
		if ctx.Err() == nil {
			r.refuse(ctx, addr, err)
		}
		return
	}
	r.stats.accepted.Add(1)
	p.up.Store(true)
	_ = r.events.Publish(life, Event{Kind: PeerUp, Peer: p, Addr: addr}) // fails only if closed while waiting
	p.out.attach(conn)
	p.serve(life, in)
	r.bury(life, p)
}

// bury publishes the end of a peer and frees its routing id.
func (r *Router) bury(ctx context.Context, p *Peer) {
	r.forget(p)
	// The stop of the router must not swallow the news, nor wait for ever on a stuck subscriber.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = r.events.Publish(ctx, Event{Kind: PeerDown, Peer: p, Addr: p.addr, Reason: p.why()})
	close(p.done)
}

func (r *Router) refuse(ctx context.Context, addr string, reason error) {
	r.stats.refused.Add(1)
	_ = r.events.Publish(ctx, Event{Kind: Refused, Addr: addr, Reason: reason})
}

// welcome performs the handshake, bounded in time and number. On success the peer is registered.
func (r *Router) welcome(ctx context.Context, stop context.CancelFunc, conn net.Conn, addr string) (*Peer, *decoder, error) {
	place := r.waiting.enter(conn)
	defer r.waiting.leave(place)
	if err := conn.SetDeadline(time.Now().Add(r.cfg.HandshakeTimeout)); err != nil {
		return nil, nil, err
	}
	p := r.newPeer(stop, conn, addr)
	in := &decoder{
		conn: conn, limits: r.cfg.limits(), peer: p, buf: make([]byte, minReadBuffer),
		onRead: p.onRead, onCommand: (&commands{out: &p.out}).handle,
	}
	registered := false
	g := &gate{Conn: conn, in: in, own: zmq4.Router, admit: func(peer ready) error {
		p.id, p.minor = peer.routingID, peer.minor
		err := r.register(ctx, p)
		registered = err == nil
		return err
	}}
	_, err := g.open(r.cfg.Name)
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		if registered {
			r.forget(p)
			close(p.done)
		}
		return nil, nil, fmt.Errorf("zeromq: handshake: %w", err)
	}
	return p, in, nil
}

func (r *Router) newPeer(stop context.CancelFunc, conn net.Conn, addr string) *Peer {
	p := &Peer{
		router: r, key: r.keys.Add(1), addr: addr, conn: conn, stop: stop,
		done: make(chan struct{}), probed: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	p.out = outbox{
		maxCount: r.cfg.QueueMessages, maxBytes: int(r.cfg.QueueBytes), timeout: r.cfg.WriteTimeout,
		buffers: &r.buffers, failed: p.Close, wrote: func(n int) { r.stats.out.Add(uint64(n)) },
	}
	return p
}

// remoteAddr names the other end; a unix socket's has no name.
func remoteAddr(conn net.Conn) string {
	if conn.RemoteAddr().Network() == "unix" {
		return "ipc"
	}
	return conn.RemoteAddr().String()
}

// waitingRoom holds the connections whose handshake is under way. When it is full the one that has waited
// longest is closed: honest peers take milliseconds, so silent ones crowd out each other.
type waitingRoom struct {
	max int

	mu     sync.Mutex
	conns  list.List
	closed bool
}

func (w *waitingRoom) enter(conn net.Conn) *list.Element {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		conn.Close()
	}
	if w.conns.Len() >= w.max {
		oldest := w.conns.Front()
		w.conns.Remove(oldest)
		oldest.Value.(net.Conn).Close()
	}
	return w.conns.PushBack(conn)
}

func (w *waitingRoom) leave(place *list.Element) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns.Remove(place) // does nothing for one that was pushed out
}

// closeAll closes those inside and those who come later.
func (w *waitingRoom) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for e := w.conns.Front(); e != nil; e = e.Next() {
		e.Value.(net.Conn).Close()
	}
}
