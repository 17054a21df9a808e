package zeromq

import (
	"container/list"
	"context"

	"github.com/go-zeromq/zmq4"
)

type socketKind zmq4.SocketType

func (k socketKind) publishes() bool { return k == socketKind(zmq4.Pub) || k == socketKind(zmq4.XPub) }

func newPattern(s *Socket) pattern {
	plain := passive{s}
	all := &exchange{passive: plain, peers: balancer{s: s}}
	switch zmq4.SocketType(s.kind) {
	case zmq4.Dealer:
		return all
	case zmq4.Pair:
		all.max = 1
		return all
	case zmq4.Push:
		return &pusher{all}
	case zmq4.Pull:
		return &puller{plain}
	case zmq4.Req:
		return &requester{exchange: all, turn: newTurn()}
	case zmq4.Rep:
		return &replier{passive: plain, turn: newTurn()}
	case zmq4.Router:
		return &routing{passive: plain, table: map[string]*pipe{}}
	case zmq4.Pub, zmq4.XPub:
		return &publisher{passive: plain, extended: zmq4.SocketType(s.kind) == zmq4.XPub, pending: map[string]*list.Element{}}
	case zmq4.Sub, zmq4.XSub:
		return &subscriber{passive: plain, extended: zmq4.SocketType(s.kind) == zmq4.XSub, pipes: map[*pipe]struct{}{}}
	}
	return nil
}

// passive is what patterns have in common: whoever comes is welcome, and what arrives waits for Recv.
type passive struct{ s *Socket }

func (p *passive) join(*pipe) error      { return nil }
func (p *passive) leave(*pipe)           {}
func (p *passive) connected(*link) error { return nil }
func (p *passive) disconnected(*pipe)    {}

func (p *passive) arrived(l *link, items []item) error {
	return p.s.inbox.push(l.pipe.in, items, l.gone)
}

func (p *passive) send(context.Context, [][]byte) error { return ErrUnsupported }

func (p *passive) recv(ctx context.Context) (item, error) { return p.receive(ctx, p.s.inbox.pop) }

// receive waits until take finds something.
func (p *passive) receive(ctx context.Context, take func() (item, bool)) (item, error) {
	if it, ok := take(); ok {
		return it, nil
	}
	var it item
	err := p.s.inbox.ready.until(ctx, p.s.closing, func() (ok bool) {
		it, ok = take()
		return ok
	})
	return it, err
}

// exchange is DEALER, and PAIR, which has one peer at most.
type exchange struct {
	passive
	peers balancer
	max   int
}

func (e *exchange) join(p *pipe) error {
	if e.max > 0 && e.peers.len() >= e.max { // the socket's lock is held
		return ErrBusy
	}
	e.peers.add(p)
	return nil
}

func (e *exchange) leave(p *pipe) { e.peers.remove(p) }

func (e *exchange) send(ctx context.Context, frames [][]byte) error {
	_, err := e.peers.send(ctx, frames)
	return err
}

// pusher is PUSH: what comes back is thrown away.
type pusher struct{ *exchange }

func (*pusher) arrived(*link, []item) error { return nil }

func (*pusher) recv(context.Context) (item, error) { return item{}, ErrUnsupported }

// puller is PULL.
type puller struct{ passive }

// turn lets one Send or Recv of a REQ or REP after the other, with a way out while waiting.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context, closing <-chan struct{}) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turn) give() { <-t }
