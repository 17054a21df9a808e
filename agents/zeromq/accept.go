package zeromq

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/go-zeromq/zmq4"
)

// serve is the life of one connection.
func (r *Router) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer r.door.leave()
	origin := &Origin{Addr: remoteAddr(conn)}
	if !r.door.enter(conn) {
		r.refuse(ctx, origin, ErrBusy)
		return
	}
	// Not cancelled by the end of Run, which closes peers one by one, after a flush.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	p, in, err := r.welcome(ctx, stop, conn, origin)
	if err != nil {
		if ctx.Err() == nil {
			r.refuse(ctx, origin, err)
		}
		return
	}
	origin.RoutingID = p.id // it may have been invented
	r.stats.accepted.Add(1)
	p.up.Store(true)
	_ = r.events.Publish(life, Event{Kind: PeerUp, Peer: p, Addr: p.addr, Origin: origin}) // fails only if closed while waiting
	p.out.attach(p.conn, p.sealer)
	p.serve(life, in)
	r.bury(life, p, origin)
}

// bury publishes the end of a peer and frees its routing id.
func (r *Router) bury(ctx context.Context, p *Peer, origin *Origin) {
	r.forget(p)
	// The stop of the router must not swallow the news, nor wait for ever on a stuck subscriber.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = r.events.Publish(ctx, Event{Kind: PeerDown, Peer: p, Addr: p.addr, Origin: origin, Reason: p.why()})
	close(p.done)
}

func (r *Router) refuse(ctx context.Context, origin *Origin, reason error) {
	r.stats.refused.Add(1)
	r.refusals.log(origin.Addr, reason)
	_ = r.events.Publish(ctx, Event{Kind: Refused, Addr: origin.Addr, Origin: origin, Reason: reason})
}

// welcome performs the handshake, bounded in time and number. On success the peer is registered. What is
// learned of it stands in origin, also on failure.
func (r *Router) welcome(ctx context.Context, stop context.CancelFunc, conn net.Conn, origin *Origin) (*Peer, *decoder, error) {
	place := r.door.waiting.enter(conn)
	defer r.door.waiting.leave(place)
	if err := conn.SetDeadline(time.Now().Add(r.cfg.HandshakeTimeout)); err != nil {
		return nil, nil, err
	}
	p := r.newPeer(stop, conn, origin.Addr)
	in := &decoder{
		conn: conn, limits: r.cfg.limits(), peer: p, buf: make([]byte, minReadBuffer),
		onRead: p.onRead, onCommand: (&commands{out: &p.out}).handle,
	}
	registered := false
	h := handshake{own: zmq4.Router, routingID: r.cfg.Name, security: &r.cfg.Security, addr: origin.Addr, admit: func(peer ready) error {
		p.id, p.minor, p.mechanism, p.userID = peer.routingID, peer.minor, peer.mechanism, peer.userID
		err := r.register(ctx, p)
		registered = err == nil
		return err
	}}
	peer, err := h.perform(ctx, conn, in)
	p.sealer = h.sealer
	p.onRead() // CURVE reads its handshake past the decoder
	if origin.know(peer); err == nil {
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
