package zeromq

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// register gives p its routing id or refuses it, and asks RouterConfig.Admit.
func (r *Router) register(ctx context.Context, p *Peer) error {
	err := r.enter(ctx, p)
	if err != nil || r.cfg.Admit == nil {
		return err
	}
	if p.leave, err = r.cfg.Admit(ctx, p.id); err != nil {
		r.forget(p)
		return fmt.Errorf("%w: %w", ErrRoutingID, err)
	}
	return nil
}

// enter gives p its routing id or refuses it. A live peer keeps its id; one that does not answer a PING
// loses it to the newcomer, after its PeerDown has been published. One of ZMTP 3.0 need not know PING and
// keeps its id as long as its connection.
func (r *Router) enter(ctx context.Context, p *Peer) error {
	if p.id == "" {
		p.id = rand.Text() // printable: some clients cannot take a sender's name that is not UTF-8
	}
	if p.id == r.cfg.Name {
		return fmt.Errorf("%w: it is the agent's own", ErrRoutingID)
	}
	old, err := r.claim(p, nil)
	if old == nil {
		return err
	}
	// The handshake may wait for as long as the old peer may take to answer.
	timeout := r.cfg.HeartbeatTimeout
	if err := p.conn.SetDeadline(time.Now().Add(timeout + r.cfg.HandshakeTimeout)); err != nil {
		return err
	}
	if !old.up.Load() || old.minor < 1 || old.answers(ctx, timeout) {
		return fmt.Errorf("%w: by a live peer", ErrRoutingID)
	}
	old.Close(ErrReplaced)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-old.done:
	case <-timer.C: // its events are not consumed
		return fmt.Errorf("%w: by a peer that is being closed", ErrRoutingID)
	case <-ctx.Done():
		return ctx.Err()
	}
	other, err := r.claim(p, old)
	if other != nil {
		return fmt.Errorf("%w: by another newcomer", ErrRoutingID)
	}
	return err
}

// claim enters p under its routing id, unless another peer than old is there, which it returns.
func (r *Router) claim(p, old *Peer) (holder *Peer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if holder := r.peers[p.id]; holder != nil && holder != old {
		return holder, nil
	}
	if r.closed {
		return nil, ErrClosed
	}
	r.peers[p.id] = p
	return nil, nil //nolint:nilnil // nobody holds it, and nothing went wrong
}

// forget frees the routing id of p. It runs on the connection's goroutine.
func (r *Router) forget(p *Peer) {
	r.mu.Lock()
	if r.peers[p.id] == p {
		delete(r.peers, p.id)
	}
	r.mu.Unlock()
	if p.leave != nil {
		p.leave()
		p.leave = nil
	}
}
