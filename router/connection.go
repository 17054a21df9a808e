package router

import (
	"context"
	"sync"
	"sync/atomic"
)

// connection is one local connection and the feeds it is attached to.
type connection struct {
	conn Conn
	user string
	turn chan struct{} // one replay at a time

	mu   sync.Mutex
	gone bool
	subs map[History]*sub
}

// held is one live message that waits for a replay to end.
type held struct {
	seq  int64
	life uint64
	body []byte // stamped
}

// sub is one connection at one feed. It either passes live messages on or, while the connection replays,
// holds them back.
type sub struct {
	c    *connection
	f    *feed
	gone atomic.Bool

	mu       sync.Mutex // held while Send runs, which never blocks: so live and held never mix
	holding  bool
	held     []held
	overflow bool   // more came than fits; the history has it
	missed   bool   // a replay found entries gone; of whoever has the connection's turn
	life     uint64 // the last message that went to the connection, or that it does not need
	cursor   int64
}

// take waits for c's turn.
func (c *connection) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *connection) pass() { <-c.turn }

func (c *connection) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

func (c *connection) attachedTo(h History) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs[h] != nil
}

// subscribe attaches c to f, holding live messages back. It returns the sub and whether it is new.
func (c *connection) subscribe(f *feed) (*sub, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, false, ErrDetached
	}
	if s, ok := c.subs[f.h]; ok {
		return s, false, nil
	}
	s := &sub{c: c, f: f, holding: true}
	c.subs[f.h] = s
	f.add(s)
	return s, true, nil
}

// unsubscribe ends c's interest in h.
func (c *connection) unsubscribe(h History) {
	c.mu.Lock()
	s := c.subs[h]
	delete(c.subs, h)
	c.mu.Unlock()
	if s != nil {
		s.gone.Store(true)
		s.f.remove(s)
	}
}

func (c *connection) detach() {
	c.mu.Lock()
	c.gone = true
	subs := c.subs
	c.subs = nil
	c.mu.Unlock()
	for _, s := range subs {
		s.gone.Store(true)
		s.f.remove(s)
	}
}

// hold makes s hold live messages back until release.
func (s *sub) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding, s.held, s.overflow = true, nil, false
}

// offer passes one live message on, or holds it.
func (s *sub) offer(m held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone.Load():
	case !s.holding:
		s.pass(m)
	case len(s.held) < s.f.r.config.HoldSize:
		s.held = append(s.held, m)
	case m.seq > 0:
		s.overflow = true
	}
}

// pass sends m unless the connection has it. s is locked or holding.
func (s *sub) pass(m held) {
	if m.seq > 0 {
		if m.life < s.life || m.life == s.life && m.seq <= s.cursor {
			return
		}
		s.life, s.cursor = m.life, m.seq
	}
	r := s.f.r
	if err := s.c.conn.Send(m.body); err != nil {
		r.stats.refused.Add(1)
		r.Detach(s.c.conn)
		return
	}
	r.stats.delivered.Add(1)
}

// taken takes what is held, or makes s live when nothing is. overflow says that messages after what was
// held went by; they must be read from the history before what comes next.
func (s *sub) taken() (batch []held, overflow, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) == 0 && !s.overflow {
		s.holding = false
		return nil, false, true
	}
	batch, overflow = s.held, s.overflow
	s.held, s.overflow = nil, false
	return batch, overflow, false
}
