package zeromq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// RelayConfig says where a Relay listens and what one client may cost.
type RelayConfig struct {
	Bind []string // as RouterConfig.Bind; at least one

	MaxMessage int64 // bytes of all frames; 0 means 64 MiB. Up to twice that is skipped and counted, beyond closes the client
	MaxParts   int   // frames of one message; 0 means 4096. Beyond closes the client

	// What waits for one client. When it is full, what is new for this client is dropped and counted; a
	// client that takes nothing for WriteTimeout is closed. Nobody waits for it.
	QueueMessages int           // 0 means 65536
	QueueBytes    int64         // 0 means 64 MiB
	WriteTimeout  time.Duration // 0 means 30 s

	MaxConns          int           // 0 means 16384
	ConnectsPerSecond int           // from one remote address, with bursts of as many; 0 means unlimited
	HandshakeTimeout  time.Duration // 0 means 5 s

	// HeartbeatInterval is RouterConfig's, and never by default: a Python client with a backlog does not read
	// PINGs. TCP keep-alive finds the dead.
	HeartbeatInterval time.Duration // 0 means never
	HeartbeatTimeout  time.Duration // of the PING that decides who keeps a routing id too; 0 means 3 s

	Linger time.Duration // at the end of Run queues are flushed for so long at most; 0 means 1 s

	Security Security // the zero value: NULL, and everybody may connect

	Logger *slog.Logger         // nil means slog.Default()
	Ready  func(addrs []string) // called once by Run when all is bound, with real ports; nil means nobody asks
}

func (c *RelayConfig) setDefaults() {
	orDefault(&c.MaxMessage, 64<<20)
	orDefault(&c.MaxParts, 4096)
	orDefault(&c.QueueMessages, 65536)
	orDefault(&c.QueueBytes, 64<<20)
	orDefault(&c.HeartbeatInterval, -1)
}

func (c *RelayConfig) router() RouterConfig {
	return RouterConfig{
		Bind:       c.Bind,
		MaxMessage: c.MaxMessage, MaxParts: c.MaxParts,
		QueueMessages: c.QueueMessages, QueueBytes: c.QueueBytes, WriteTimeout: c.WriteTimeout,
		MaxConns: c.MaxConns, ConnectsPerSecond: c.ConnectsPerSecond, HandshakeTimeout: c.HandshakeTimeout,
		HeartbeatInterval: c.HeartbeatInterval, HeartbeatTimeout: c.HeartbeatTimeout,
		Linger: c.Linger, Security: c.Security, Logger: c.Logger,
	}
}

// Relay is a ROUTER that passes messages between its clients by name: [dest, rest…] from the client called
// source reaches the client called dest as [source, rest…], any number of frames and whatever bytes. It is
// the router of Very Powerful Agents. Nobody is told of a message that no client takes: it is counted.
//
// What one client sends another arrives in order. A message is passed on by the goroutine that read it:
// clients are served side by side, and none waits for another.
type Relay struct {
	cfg    RelayConfig
	router *Router

	started                  atomic.Bool
	passed, unroutable, full atomic.Uint64
}

// NewRelay validates cfg and starts nothing.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	cfg.setDefaults()
	router, err := NewRouter(cfg.router())
	if err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, router: router}
	router.direct = r.pass
	return r, nil
}

// Run relays until ctx ends; then queues are flushed for Linger at most and everything is closed and
// joined. It returns nil for such a stop. A Relay runs once.
func (r *Relay) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("zeromq: a Relay runs once")
	}
	if len(r.Addrs()) == 0 {
		if err := r.Listen(); err != nil { //nolint:contextcheck // binding waits for nothing
			return err
		}
	}
	if r.cfg.Ready != nil {
		r.cfg.Ready(r.Addrs())
	}
	return r.router.Run(ctx)
}

// Listen binds every endpoint, as Run would; on an error none stays bound.
func (r *Relay) Listen() error { return r.router.Listen() }

// Addrs returns the endpoints that are bound, with the real ports, in the order of Bind.
func (r *Relay) Addrs() []string { return r.router.Addrs() }

// pass hands what one client sent to those it is for.
func (r *Relay) pass(from *Peer, batch []Message) {
	source, known := from.Value().([]byte)
	if !known {
		source = []byte(from.id)
		from.SetValue(source)
	}
	var passed, unroutable, full uint64
	for i := range batch {
		frames := batch[i].Frames
		if batch[i].TooLarge {
			continue
		}
		to := r.router.registered(frames[0])
		if to == nil {
			unroutable++
			continue
		}
		frames[0] = source
		switch err := to.out.push(frames); {
		case err == nil:
			passed++
		case errors.Is(err, ErrFull):
			full++
		default: // it has just gone
			unroutable++
		}
	}
	r.passed.Add(passed)
	r.unroutable.Add(unroutable)
	r.full.Add(full)
}

// RelayStats are totals since the Relay was made, but for Clients.
type RelayStats struct {
	Clients    int    // connected now
	Accepted   uint64 // connections that became clients
	Refused    uint64 // connections that did not
	In         uint64 // messages received, TooLarge ones included
	Passed     uint64 // of them, queued for their destination
	Unroutable uint64 // dropped: no client has that name
	Full       uint64 // dropped: the queue of the destination was full
	TooLarge   uint64 // dropped: over MaxMessage
}

// Dropped counts all messages that reached nobody.
func (s RelayStats) Dropped() uint64 { return s.Unroutable + s.Full + s.TooLarge }

func (s RelayStats) String() string {
	return fmt.Sprintf("clients=%d passed=%d dropped=%d", s.Clients, s.Passed, s.Dropped())
}

// Stats returns the totals. It is safe for concurrent use and cheap.
func (r *Relay) Stats() RelayStats {
	s := r.router.Stats()
	return RelayStats{
		Clients: r.router.Peers(), Accepted: s.Accepted, Refused: s.Refused, In: s.In, TooLarge: s.TooLarge,
		Passed: r.passed.Load(), Unroutable: r.unroutable.Load(), Full: r.full.Load(),
	}
}
