package zeromq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// routing is ROUTER: the first frame of what is sent names the peer, the first of what is received is added
// and names it too. A peer without a routing id gets a random printable one.
type routing struct {
	passive

	mu    sync.RWMutex
	table map[string]*pipe
}

func (r *routing) join(p *pipe) error {
	if p.dialed { // its name comes with the connection
		return nil
	}
	return r.claim(p, p.id)
}

func (r *routing) connected(l *link) error {
	p := l.pipe
	if !p.dialed {
		l.origin.RoutingID = p.id
		r.mu.RLock()
		defer r.mu.RUnlock()
		if r.table[p.id] != p { // taken over before there was a connection to end
			return ErrReplaced
		}
		return nil
	}
	err := r.claim(p, l.origin.RoutingID)
	l.origin.RoutingID = p.id
	return err
}

func (r *routing) claim(p *pipe, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == "" {
		id = p.id // of an earlier connection
	}
	if id == "" {
		id = rand.Text()
	}
	if holder := r.table[id]; holder != nil && holder != p {
		if !r.s.opts.RouterHandover && holder != p.replaces {
			return fmt.Errorf("%w: by a live peer", ErrRoutingID)
		}
		holder.end(ErrReplaced)
	}
	r.forgetLocked(p)
	p.id, p.replaces = id, nil
	r.table[id] = p
	return nil
}

// displace returns nil when the holder of p's routing id is dead, so that p may claim it. The handshake over
// conn may wait for as long as the holder may take to answer.
func (r *routing) displace(conn net.Conn, p *pipe) error {
	r.mu.RLock()
	holder := r.table[p.id]
	r.mu.RUnlock()
	if holder == nil { // gone in between
		return nil
	}
	timeout := r.s.opts.HeartbeatTimeout
	orDefault(&timeout, 3*time.Second)
	if err := conn.SetDeadline(time.Now().Add(timeout + r.s.opts.HandshakeTimeout)); err != nil {
		return err
	}
	if l := holder.link.Load(); l == nil || l.alive(timeout) {
		return fmt.Errorf("%w: by a live peer", ErrRoutingID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.replaces = holder
	return nil
}

func (r *routing) forgetLocked(p *pipe) {
	if r.table[p.id] == p {
		delete(r.table, p.id)
	}
}

func (r *routing) leave(p *pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(p)
}

func (r *routing) send(_ context.Context, frames [][]byte) error {
	if len(frames) < 2 {
		return ErrNoFrames
	}
	r.mu.RLock()
	p := r.table[string(frames[0])]
	r.mu.RUnlock()
	err := ErrUnroutable
	if p != nil {
		err = p.out.push(frames[1:])
	}
	if errors.Is(err, ErrClosed) {
		err = ErrUnroutable
	}
	switch {
	case err == nil:
		return nil
	case r.s.opts.RouterMandatory:
		r.s.stats.meet(err, 1)
		return err
	}
	r.s.stats.drop(err, 1)
	return nil
}

func (r *routing) arrived(l *link, items []item) error {
	const together = 16 // copies of the id in one allocation: each message is its receiver's alone
	var ids []byte
	for i := range items {
		if i%together == 0 {
			ids = make([]byte, 0, min(together, len(items)-i)*len(l.origin.RoutingID))
		}
		at := len(ids)
		ids = append(ids, l.origin.RoutingID...)
		frames := make([][]byte, 0, 1+len(items[i].frames))
		items[i].frames = append(append(frames, ids[at:len(ids):len(ids)]), items[i].frames...)
	}
	return r.passive.arrived(l, items)
}
