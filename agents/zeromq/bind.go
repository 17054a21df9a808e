package zeromq

import (
	"context"
	"errors"
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
	origin := &Origin{Addr: remoteAddr(conn)}
	if !s.door.enter(conn) {
		s.refused(endpoint, origin, ErrBusy)
		return
	}
	p := s.newPipe(endpoint, false)
	l, err := s.welcome(conn, p, origin)
	if err != nil {
		s.leave(p)
		s.refused(endpoint, origin, err)
		return
	}
	l.run()
	s.leave(p)
	// What it has left unread goes on counting as a connection, or coming and going would fill the memory.
	conn.Close()
	s.inbox.drained(p.in, s.closing)
}

func (s *Socket) refused(endpoint string, origin *Origin, reason error) {
	if !s.isClosing() {
		s.report(MonitorEvent{Kind: Refused, Endpoint: endpoint, Origin: origin, Reason: reason})
	}
}

// welcome performs the handshake, bounded in time and number. On success p is one of the socket's pipes.
func (s *Socket) welcome(conn net.Conn, p *pipe, origin *Origin) (*link, error) {
	place := s.door.waiting.enter(conn)
	defer s.door.waiting.leave(place)
	return s.shakeHands(s.life, conn, p, origin, func(peer ready) error {
		p.id = peer.routingID
		err := s.enter(p)
		if r, ok := s.pattern.(*routing); ok && errors.Is(err, ErrRoutingID) {
			if err = r.displace(conn, p); err == nil {
				err = s.enter(p)
			}
		}
		return err
	})
}

// shakeHands performs the handshake of either end. What it learns of the peer stands in origin, also when
// it fails.
func (s *Socket) shakeHands(ctx context.Context, conn net.Conn, p *pipe, origin *Origin, admit func(ready) error) (*link, error) {
	if err := conn.SetDeadline(time.Now().Add(s.opts.HandshakeTimeout)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.HandshakeTimeout)
	defer cancel()
	h := handshake{own: s.Type(), routingID: s.opts.RoutingID, security: &s.opts.Security, addr: origin.Addr, admit: admit}
	l := s.newLink(p, conn)
	peer, err := h.perform(ctx, conn, l.in)
	if origin.know(peer); err != nil {
		return nil, err
	}
	l.sealer, l.origin, l.answers = h.sealer, origin, peer.minor >= 1
	return l, conn.SetDeadline(time.Time{})
}
