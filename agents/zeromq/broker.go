package zeromq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
)

// BrokerConfig says where a Broker listens and what one client may cost.
type BrokerConfig struct {
	Pub []string // endpoints for publishers, as Socket.Listen takes them; at least one
	Sub []string // endpoints for subscribers; at least one

	MaxMessage       int64 // bytes of all frames; 0 means 64 MiB. Beyond, the publisher is disconnected
	MaxParts         int   // frames of one message, likewise; 0 means 4096
	MaxSubscriptions int   // topics of one subscriber, beyond which it is disconnected; 0 means 65536

	// What waits for one subscriber. When it is full, what is new for this subscriber is dropped and
	// counted; nobody waits for it.
	QueueMessages int   // 0 means 65536
	QueueBytes    int64 // 0 means 64 MiB

	MaxConns          int           // publishers and subscribers separately; 0 means 16384
	ConnectsPerSecond int           // from one remote address, with bursts of as many; 0 means unlimited
	HandshakeTimeout  time.Duration // 0 means 5 s

	Linger time.Duration // at the end of Run queues are flushed for so long at most; 0 means 1 s

	Security Security // of both sides; the zero value: NULL, and everybody may connect

	Logger *slog.Logger            // nil means slog.Default()
	Ready  func(pub, sub []string) // called once by Run when all is bound, with real ports; nil means nobody asks
	Inproc *Inproc                 // where inproc:// names are looked up; nil: no inproc
}

func (c *BrokerConfig) setDefaults() {
	orDefault(&c.QueueMessages, 65536)
	orDefault(&c.QueueBytes, 64<<20)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Validate names the first field that cannot be used.
func (c *BrokerConfig) Validate() error {
	for _, side := range []struct {
		name      string
		endpoints []string
	}{{"Pub", c.Pub}, {"Sub", c.Sub}} {
		if len(side.endpoints) == 0 {
			return fmt.Errorf("zeromq: %s: no endpoint", side.name)
		}
		for _, e := range side.endpoints {
			if _, err := parseAnyEndpoint(e); err != nil {
				return fmt.Errorf("zeromq: %s: %w", side.name, err)
			}
		}
	}
	if err := notNegative(
		field{"MaxMessage", c.MaxMessage}, field{"QueueMessages", int64(c.QueueMessages)}, field{"QueueBytes", c.QueueBytes},
	); err != nil {
		return err
	}
	o := c.options()
	return o.Validate()
}

func (c *BrokerConfig) options() Options {
	return Options{
		SendHWM: c.QueueMessages, SendBytes: c.QueueBytes,
		MaxMessageSize: c.MaxMessage, MaxParts: c.MaxParts, MaxSubscriptions: c.MaxSubscriptions,
		MaxConns: c.MaxConns, ConnectsPerSecond: c.ConnectsPerSecond, HandshakeTimeout: c.HandshakeTimeout,
		Linger: c.Linger, Security: c.Security, Inproc: c.Inproc, Logger: c.Logger,
	}
}

// Broker stands between publishers, which connect to Pub, and subscribers, which connect to Sub: an XSUB and
// an XPUB. What a publisher sends reaches the subscribers that ask for a prefix of its first frame; what
// subscribers ask for reaches the publishers, those that come later too, so nothing travels that nobody
// wants. It is blind to the content. The notifications of Very Powerful Agents are [topic, 0x00, payload].
type Broker struct {
	cfg     BrokerConfig
	started atomic.Bool
	sockets atomic.Pointer[brokerSockets]
	passed  atomic.Uint64
	refused atomic.Uint64

	refusals refusals
}

type brokerSockets struct{ publishers, subscribers *Socket }

// NewBroker validates cfg and starts nothing.
func NewBroker(cfg BrokerConfig) (*Broker, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Broker{cfg: cfg, refusals: refusals{logger: cfg.Logger}}, nil
}

// Run passes messages until ctx ends; then queues are flushed for Linger at most and everything is closed
// and joined. It returns nil for such a stop. A Broker runs once.
func (b *Broker) Run(ctx context.Context) error {
	if b.started.Swap(true) {
		return errors.New("zeromq: a Broker runs once")
	}
	// The sockets outlive ctx by their Linger.
	life := context.WithoutCancel(ctx)
	publishers, err := NewSocket(life, zmq4.XSub, b.cfg.options())
	if err != nil {
		return err
	}
	defer publishers.Close()
	subscribers, err := NewSocket(life, zmq4.XPub, b.cfg.options())
	if err != nil {
		return err
	}
	defer subscribers.Close()
	for _, s := range []*Socket{publishers, subscribers} {
		events := s.Monitor().Subscribe(life, b.note, nil, nil) // completed by Close
		defer func() { s.Close(); <-events.Done() }()
	}
	b.sockets.Store(&brokerSockets{publishers, subscribers})
	// Subscribers first: a publisher that is let in finds those that were faster.
	for _, side := range []struct {
		socket    *Socket
		endpoints []string
	}{{subscribers, b.cfg.Sub}, {publishers, b.cfg.Pub}} {
		for _, e := range side.endpoints {
			if err := side.socket.Listen(e); err != nil { //nolint:contextcheck // the socket has its own
				return err
			}
		}
	}
	if b.cfg.Ready != nil {
		b.cfg.Ready(publishers.Addrs(), subscribers.Addrs())
	}
	return b.proxy(ctx, publishers, subscribers)
}

func (b *Broker) note(e MonitorEvent) {
	if e.Kind == Refused {
		b.refused.Add(1)
		b.refusals.log(e.Origin.Addr, e.Reason)
	}
}

// proxy is Proxy with a count of what is published.
func (b *Broker) proxy(ctx context.Context, publishers, subscribers *Socket) error {
	return proxy(ctx, publishers, subscribers, func(n int) { b.passed.Add(uint64(n)) })
}

// Addrs returns the endpoints that are bound, with the real ports; none before Run has bound them.
func (b *Broker) Addrs() (pub, sub []string) {
	if s := b.sockets.Load(); s != nil {
		return s.publishers.Addrs(), s.subscribers.Addrs()
	}
	return nil, nil
}

// BrokerStats are totals since the Broker was made, but for Publishers, Subscribers and Topics.
type BrokerStats struct {
	Publishers  int    // connected now
	Subscribers int    // connected now
	Topics      int    // that are asked for
	Refused     uint64 // connections; of many within a moment some are not counted
	Passed      uint64 // messages received and offered to the subscribers
	Dropped     uint64 // copies not delivered because the queue of a subscriber was full
}

func (s BrokerStats) String() string {
	return fmt.Sprintf("publishers=%d subscribers=%d passed=%d dropped=%d", s.Publishers, s.Subscribers, s.Passed, s.Dropped)
}

// Stats returns the totals. It is safe for concurrent use.
func (b *Broker) Stats() BrokerStats {
	stats := BrokerStats{Passed: b.passed.Load(), Refused: b.refused.Load()}
	if s := b.sockets.Load(); s != nil {
		stats.Publishers, stats.Subscribers = s.publishers.Peers(), s.subscribers.Peers()
		stats.Topics, stats.Dropped = len(s.subscribers.Topics()), s.subscribers.Dropped()
	}
	return stats
}
