package zeromq

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

type dial struct {
	endpoint string
	stop     context.CancelFunc
}

// Dial connects to an endpoint and returns at once; whether the connection can be had, Monitor tells. It is
// tried again for ever, with growing pauses, and had again after it was lost. Meanwhile messages wait for
// it, up to SendHWM.
func (s *Socket) Dial(ep string) error {
	e, err := parseAnyEndpoint(ep)
	if err != nil {
		return fmt.Errorf("zeromq: connect: %w", err)
	}
	if e.network == inprocNetwork && s.opts.Inproc == nil {
		return fmt.Errorf("zeromq: connect %s: %w", ep, errNoInproc)
	}
	p := s.newPipe(ep, true)
	if err := s.enter(p); err != nil {
		return fmt.Errorf("zeromq: connect %s: %w", ep, err)
	}
	ctx, stop := context.WithCancel(s.life)
	err = s.start(func() {
		defer stop()
		defer s.leave(p)
		s.redial(ctx, p, e)
	})
	if err != nil {
		stop()
		s.leave(p)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, dial{ep, stop})
	return nil
}

// redial is the life of a pipe that was dialled.
func (s *Socket) redial(ctx context.Context, p *pipe, e endpoint) {
	for delay := s.opts.ReconnectInterval; ; delay = min(2*delay, s.opts.ReconnectMax) {
		began := time.Now()
		connected := s.connect(ctx, p, e)
		if ctx.Err() != nil || s.opts.ReconnectInterval < 0 {
			return
		}
		if connected && time.Since(began) > delay {
			delay = s.opts.ReconnectInterval
		}
		// Full jitter would allow no pause at all; half keeps a floor.
		if !sleep(ctx, delay/2+rand.N(delay/2+1)) {
			return
		}
	}
}

// connect is the life of one connection; it reports whether there was one.
func (s *Socket) connect(ctx context.Context, p *pipe, e endpoint) bool {
	var origin Origin
	fail := func(kind EventKind, err error) bool {
		if ctx.Err() == nil {
			s.report(MonitorEvent{Kind: kind, Endpoint: p.endpoint, Origin: &origin, Reason: err}) //nolint:contextcheck // a monitor never blocks
		}
		return false
	}
	conn, err := s.reach(ctx, e)
	if err != nil {
		return fail(Unreachable, err)
	}
	defer conn.Close()
	interrupt := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	origin.Addr = remoteAddr(conn)
	l, err := s.shakeHands(ctx, conn, p, &origin, nil)
	if !interrupt() || err != nil {
		return fail(Refused, err)
	}
	disconnect := context.AfterFunc(ctx, func() { l.end(ErrClosed, false) })
	defer disconnect()
	l.run() //nolint:contextcheck // a monitor never blocks
	return true
}

func (s *Socket) reach(ctx context.Context, e endpoint) (net.Conn, error) {
	if e.network == inprocNetwork {
		return s.opts.Inproc.dial(e.address)
	}
	dialer := net.Dialer{Timeout: s.opts.ConnectTimeout, KeepAlive: s.opts.TCPKeepAlive}
	return dialer.DialContext(ctx, e.network, e.address)
}
