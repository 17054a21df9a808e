package zeromq

import (
	"context"
	"fmt"
	"net"
	"time"
)

type bind struct {
	given, endpoint string
	listener        net.Listener
}

// Listen binds an endpoint and accepts peers there: "tcp://host:port" (port 0 or *: any free one; host *:
// all; IPv6 in brackets), "ipc://path" (a file left by a process that was killed is replaced) or
// "inproc://name".
func (s *Socket) Listen(ep string) error {
	e, err := parseAnyEndpoint(ep)
	if err != nil {
		return fmt.Errorf("zeromq: bind: %w", err)
	}
	l, err := s.listen(e)
	if err != nil {
		return fmt.Errorf("zeromq: bind %s: %w", ep, err)
	}
	b := bind{ep, endpoint{e.network, l.Addr().String()}.String(), l}
	err = s.start(func() {
		s.door.accept(s.life, l, func(conn net.Conn) { s.tasks.Go(func() { s.serve(conn, b.endpoint) }) })
	})
	if err != nil {
		l.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.binds = append(s.binds, b)
	if s.closed { // in between
		l.Close()
	}
	return nil
}

func (s *Socket) listen(e endpoint) (net.Listener, error) {
	if e.network == inprocNetwork {
		if s.opts.Inproc == nil {
			return nil, errNoInproc
		}
		return s.opts.Inproc.listen(e.address)
	}
	l, err := e.listen(net.ListenConfig{KeepAlive: s.opts.TCPKeepAlive})
	if err == nil && s.opts.Backlog > 0 {
		if err = setBacklog(l, s.opts.Backlog); err != nil {
			l.Close()
		}
	}
	return l, err
}

// serve is the life of a connection that was accepted.
func (s *Socket) serve(conn net.Conn, endpoint string) {
	defer conn.Close()
	defer s.door.leave()
	addr := remoteAddr(conn)
	if !s.door.enter(conn) {
		s.refused(endpoint, addr, ErrBusy)
		return
	}
	p := s.newPipe(endpoint, false)
	defer s.leave(p)
	l, minor, err := s.welcome(conn, p, addr)
	if err != nil {
		s.refused(endpoint, addr, err)
		return
	}
	l.run(minor >= 1)
}

func (s *Socket) refused(endpoint, addr string, reason error) {
	if !s.isClosing() {
		s.report(MonitorEvent{Kind: Refused, Endpoint: endpoint, Origin: &Origin{Addr: addr}, Reason: reason})
	}
}

// welcome performs the handshake, bounded in time and number. On success p is one of the socket's pipes.
func (s *Socket) welcome(conn net.Conn, p *pipe, addr string) (*link, byte, error) {
	place := s.door.waiting.enter(conn)
	defer s.door.waiting.leave(place)
	return s.shakeHands(s.life, conn, p, addr, func(peer ready) error {
		p.id = peer.routingID
		return s.enter(p)
	})
}

// shakeHands performs the handshake of either end.
func (s *Socket) shakeHands(ctx context.Context, conn net.Conn, p *pipe, addr string, admit func(ready) error) (*link, byte, error) {
	if err := conn.SetDeadline(time.Now().Add(s.opts.HandshakeTimeout)); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.HandshakeTimeout)
	defer cancel()
	h := handshake{own: s.Type(), routingID: s.opts.RoutingID, security: &s.opts.Security, addr: addr, admit: admit}
	l := s.newLink(p, conn)
	peer, err := h.perform(ctx, conn, l.in)
	if err != nil {
		return nil, 0, err
	}
	l.sealer = h.sealer
	l.origin = &Origin{RoutingID: peer.routingID, Addr: addr, Mechanism: peer.mechanism, UserID: peer.userID}
	return l, peer.minor, conn.SetDeadline(time.Time{})
}
