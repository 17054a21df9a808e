package zeromq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

// Router is a ROUTER socket: DEALER, REQ and ROUTER peers connect to it, what they send is stamped with
// who they are, and what is sent goes to the peer that the routing id names.
type Router struct {
	cfg      RouterConfig
	messages *observables.Subject[Message]
	events   *observables.Subject[Event]
	door     door
	buffers  buffers
	keys     atomic.Uint64
	stats    counters
	refusals refusals
	direct   func(from *Peer, batch []Message) // instead of messages, on the reader's goroutine; must not wait
	started  atomic.Bool

	mu        sync.RWMutex
	listeners []net.Listener
	addrs     []string
	closed    bool // accepts nobody any more
	peers     map[string]*Peer
}

// NewRouter validates cfg and starts nothing.
func NewRouter(cfg RouterConfig) (*Router, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Router{
		cfg:      cfg,
		messages: observables.NewSubject[Message](observables.Config{Buffer: cfg.Buffer, Overflow: observables.Block}),
		events:   observables.NewSubject[Event](observables.Config{Buffer: cfg.Buffer, Overflow: observables.Block}),
		door: door{
			max: cfg.MaxConns, logger: cfg.Logger,
			throttle: throttle{rate: float64(cfg.ConnectsPerSecond)}, waiting: waitingRoom{max: cfg.MaxHandshakes},
		},
		peers:    map[string]*Peer{},
		refusals: refusals{logger: cfg.Logger},
	}
	return r, nil
}

// Listen binds every endpoint; on an error none stays bound. Peers are accepted by Run.
func (r *Router) Listen() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if len(r.listeners) > 0 {
		return errors.New("zeromq: already listening")
	}
	for _, s := range r.cfg.Bind {
		e, err := parseEndpoint(s)
		if err == nil {
			var l net.Listener
			if l, err = e.listen(net.ListenConfig{}); err == nil {
				r.listeners = append(r.listeners, l)
				r.addrs = append(r.addrs, endpoint{e.network, l.Addr().String()}.String())
				continue
			}
		}
		r.closeListenersLocked()
		r.listeners, r.addrs = nil, nil
		return fmt.Errorf("zeromq: bind %s: %w", s, err)
	}
	return nil
}

// Addrs returns the endpoints that Listen bound, with the real ports, in the order of Bind.
func (r *Router) Addrs() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return append([]string(nil), r.addrs...)
}

// Run accepts and serves peers until ctx ends, listening first if Listen has not been called. Then it stops
// accepting, flushes what is queued for Linger at most, closes every peer, completes the streams and joins
// all that it started. It returns nil for such a stop. A Router runs once.
func (r *Router) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("zeromq: a Router runs once")
	}
	defer r.events.OnCompleted()
	defer r.messages.OnCompleted()
	if len(r.Addrs()) == 0 {
		if err := r.Listen(); err != nil { //nolint:contextcheck // binding waits for nothing
			return err
		}
	}
	var tasks sync.WaitGroup
	r.mu.RLock()
	listeners := r.listeners
	r.mu.RUnlock()
	for _, l := range listeners {
		tasks.Go(func() {
			r.door.accept(ctx, l, func(conn net.Conn) { tasks.Go(func() { r.serve(ctx, conn) }) })
		})
	}
	if r.cfg.HeartbeatInterval > 0 {
		tasks.Go(func() { r.beat(ctx) })
	}
	<-ctx.Done()
	r.StopAccepting()
	r.door.waiting.closeAll()
	for _, p := range r.snapshot() {
		p.CloseAfterFlush(r.cfg.Linger)
	}
	tasks.Wait()
	return nil
}

// StopAccepting closes the listeners; connected peers live on. It is the first step of a drain.
func (r *Router) StopAccepting() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.closeListenersLocked()
}

func (r *Router) closeListenersLocked() {
	for _, l := range r.listeners {
		l.Close()
	}
}

// Messages is what peers send: in order for each peer, hot, through one bounded buffer for each subscriber
// that blocks the readers when it is full. Every message must be released to its peer. Subscribe before
// Run: a message nobody subscribed to is gone, and so is its place in the window.
func (r *Router) Messages() observables.Stream[Message] { return r.messages.Stream() }

// Events reports connects, disconnects and refusals, with the buffer and policy of Messages.
func (r *Router) Events() observables.Stream[Event] { return r.events.Stream() }

// Peer finds a connected peer.
func (r *Router) Peer(routingID string) (*Peer, bool) {
	r.mu.RLock()
	p, ok := r.peers[routingID]
	r.mu.RUnlock()
	if !ok || !p.up.Load() {
		return nil, false
	}
	return p, true
}

// registered finds a peer that has its routing id, even if its first event is still on its way; nil if there
// is none.
func (r *Router) registered(routingID []byte) *Peer {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.peers[string(routingID)]
}

// Peers counts the connected peers.
func (r *Router) Peers() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := 0
	for _, p := range r.peers {
		if p.up.Load() {
			n++
		}
	}
	return n
}

// Send is Peer.Send by routing id; ErrUnroutable when there is no such peer.
func (r *Router) Send(routingID string, frames ...[]byte) error {
	p, ok := r.Peer(routingID)
	if !ok {
		return ErrUnroutable
	}
	return p.Send(frames...)
}

func (r *Router) snapshot() []*Peer {
	r.mu.RLock()
	defer r.mu.RUnlock()
	peers := make([]*Peer, 0, len(r.peers))
	for _, p := range r.peers {
		peers = append(peers, p)
	}
	return peers
}

// beat asks silent peers for a sign of life and closes those that give none: one goroutine for all.
func (r *Router) beat(ctx context.Context) {
	interval, timeout := r.cfg.HeartbeatInterval, r.cfg.HeartbeatTimeout
	ticker := time.NewTicker(max(min(interval, timeout)/2, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		for _, p := range r.snapshot() {
			p.beat(now, interval, timeout)
		}
	}
}

func (p *Peer) beat(now time.Time, interval, timeout time.Duration) {
	if !p.up.Load() || !p.reading.Load() || p.minor < 1 {
		return
	}
	heard, pinged := time.Unix(0, p.heard.Load()), time.Unix(0, p.pinged.Load())
	switch silence := now.Sub(heard); {
	case silence < interval:
	case pinged.Before(heard):
		p.ping()
	case now.Sub(pinged) >= timeout:
		p.Close(ErrSilent)
	}
}
