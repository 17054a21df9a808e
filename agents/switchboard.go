package agents

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/router"
)

const (
	switchQueue  = 4096        // messages on their way to other agents; beyond, the newest are dropped
	switchBytes  = 64 << 20    // of them
	switchBatch  = 256         // names resolved at a time
	knownFor     = time.Second // how long it is believed that a name is where it was
	unknownFor   = 100 * time.Millisecond
	maxKnown     = 65536
	claimTimeout = time.Second
)

// switchboard relays between agents. It claims the names of this agent's ZeroMQ clients, so that each is one
// client's in the whole mesh, and passes messages for a name that is not here to the agent that has it: in the
// order in which they came from each client, at most once. It holds up nobody: what does not fit is dropped.
type switchboard struct {
	agent *Agent
	names *router.Names
	queue chan passing
	bytes atomic.Int64 // in queue
	known map[string]place
}

// passing is a message from one client to the name of another.
type passing struct {
	from, to string
	frames   [][]byte // the type, the payload, and what else there is
}

// size is about what it takes in memory.
func (m *passing) size() int64 {
	size := len(m.from) + len(m.to)
	for _, f := range m.frames {
		size += len(f)
	}
	return int64(size)
}

func (m *passing) deliver(to *zeromq.Peer) error {
	return to.Send(append([][]byte{[]byte(m.from)}, m.frames...)...)
}

// packed is the frames as one string of bytes: each behind its length as a uvarint.
func (m *passing) packed() []byte {
	size := 0
	for _, f := range m.frames {
		size += binary.MaxVarintLen32 + len(f)
	}
	b := make([]byte, 0, size)
	for _, f := range m.frames {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	return b
}

// unpack is the reverse of packed; the frames share the memory of b.
func unpack(b []byte) (frames [][]byte, ok bool) {
	for len(b) > 0 {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, false
		}
		end := used + int(n)
		frames = append(frames, b[used:end:end])
		b = b[end:]
	}
	return frames, true
}

// place is where a name was found; incarnation is empty for nowhere.
type place struct {
	incarnation string
	until       time.Time
}

func newSwitchboard(a *Agent) (*switchboard, error) {
	s := &switchboard{agent: a, queue: make(chan passing, switchQueue), known: make(map[string]place)}
	var err error
	s.names, err = router.NewNames(router.NamesConfig{
		Redis: a.redis, Prefix: a.cfg.Prefix, Incarnation: a.broker.Incarnation(), Lease: a.cfg.Lease, Logger: a.log,
		Lost: func(name string) {
			if p, here := a.dealers.Peer(name); here {
				a.log.Warn("a ZeroMQ client was closed: another agent has a client of its name")
				p.Close(router.ErrTaken)
			}
		},
	})
	return s, err
}

// admit claims the routing id of a newcomer when everybody may relay.
func (s *switchboard) admit(ctx context.Context, routingID string) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	if err := s.names.Claim(ctx, routingID); err != nil {
		return nil, err
	}
	return func() { s.names.Release(routingID) }, nil
}

// own claims a client's routing id when only those may relay who are bound to a session of that name.
func (s *switchboard) own(ctx context.Context, c *client, user string) {
	d, ok := c.link.(*dealer)
	if !ok || !ownName(d.RoutingID(), user) || !c.named.CompareAndSwap(false, true) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	s.names.Want(ctx, d.RoutingID())
	if c.isClosed() {
		s.disown(c)
	}
}

// disown gives the name of a client up that has gone.
func (s *switchboard) disown(c *client) {
	if d, ok := c.link.(*dealer); ok && c.named.CompareAndSwap(true, false) {
		s.names.Release(d.RoutingID())
	}
}

// local finds the client of this agent that has a name. Who only calls himself so is not meant.
func (s *switchboard) local(name string) (*zeromq.Peer, bool) {
	if !s.names.Has(name) {
		return nil, false
	}
	return s.agent.dealers.Peer(name)
}

// pass sends a message to whoever has a name elsewhere. It reports false when it is dropped at once.
func (s *switchboard) pass(m passing) bool {
	size := m.size()
	if s.bytes.Add(size) <= switchBytes {
		select {
		case s.queue <- m:
			return true
		default:
		}
	}
	s.bytes.Add(-size)
	return false
}

// run passes messages on until ctx ends.
func (s *switchboard) run(ctx context.Context) error {
	batch := make([]passing, 0, switchBatch)
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return nil
		case m := <-s.queue:
			batch = append(batch, m)
		}
		for more := true; more && len(batch) < switchBatch; {
			select {
			case m := <-s.queue:
				batch = append(batch, m)
			default:
				more = false
			}
		}
		s.resolve(ctx, batch)
		for _, m := range batch {
			s.send(m)
			s.bytes.Add(-m.size())
		}
	}
}

// resolve finds out where the names of a batch are.
func (s *switchboard) resolve(ctx context.Context, batch []passing) {
	now := time.Now()
	var ask []string
	asked := make(map[string]struct{})
	for _, m := range batch {
		if at, ok := s.known[m.to]; ok && now.Before(at.until) {
			continue
		}
		if _, twice := asked[m.to]; !twice {
			asked[m.to] = struct{}{}
			ask = append(ask, m.to)
		}
	}
	if len(ask) == 0 {
		return
	}
	if len(s.known) > maxKnown {
		clear(s.known)
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	found, err := s.names.Resolve(ctx, ask)
	for i, name := range ask {
		at := place{until: now.Add(unknownFor)}
		if err == nil && found[i] != "" {
			at = place{found[i], now.Add(knownFor)}
		}
		s.known[name] = at
	}
}

func (s *switchboard) send(m passing) {
	a := s.agent
	at := s.known[m.to]
	if at.incarnation == "" || at.incarnation == a.broker.Incarnation() {
		if to, here := s.local(m.to); !here || m.deliver(to) != nil {
			a.dropped.Add(1)
		}
		return
	}
	job := jobs.Job{Volatile: true, Message: &message.Message{
		Type: relayType, From: message.Address{ID: m.from}, To: message.Address{ID: m.to}, Payload: m.packed(),
	}}
	a.broker.SendTo(at.incarnation, job, func(_ jobs.Receipt, err error) {
		if err != nil && !errors.Is(err, jobs.ErrUnknown) {
			a.dropped.Add(1)
		}
	})
}

// arrive hands a message from another agent to the client it is for, if that one can take it: the other agent may
// carry more than this one.
func (s *switchboard) arrive(_ context.Context, m *message.Message) error {
	to, here := s.local(m.To.ID)
	frames, ok := unpack(m.Payload)
	arrived := passing{from: m.From.ID, to: m.To.ID, frames: frames}
	if !here || !ok || !s.agent.mayCarry(arrived.from, arrived.to, frames) || arrived.deliver(to) != nil {
		s.agent.dropped.Add(1)
	}
	return nil
}
