package zeromq

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Options are a Socket's. Those named after an option of libzmq mean what it means there; the zero value of
// each is a good default. Limits hold for each peer separately unless said otherwise.
type Options struct {
	RoutingID string // what ROUTER peers know this socket by (ZMQ_ROUTING_ID), at most 255 bytes

	// SendHWM is how many messages wait for one peer, connected or not. Beyond, PAIR, DEALER, REQ and PUSH
	// take another peer or wait; PUB, XPUB, ROUTER and REP drop the newest for this peer (see Dropped).
	SendHWM   int   // 0 means 1000, negative means no limit
	SendBytes int64 // the same limit in bytes; 0 means 256 MiB, negative means no limit
	// RecvHWM is how many messages of one peer wait for Recv; then its connection is not read, which TCP
	// makes it feel. What XPUB reports of subscriptions waits for nobody; beyond the mark a report that has
	// not been read and its opposite cancel each other out.
	RecvHWM int // 0 means 1000, negative means no limit

	SendTimeout time.Duration // of Send; 0 means it waits for ever, negative means it never waits
	RecvTimeout time.Duration // of Recv; likewise

	Linger time.Duration // Close waits so long for what is queued; 0 means 1 s, negative discards it

	MaxMessageSize   int64 // bytes of all frames; beyond, the peer is disconnected. 0 means 64 MiB, negative means no limit
	MaxParts         int   // frames of one message, likewise. 0 means 4096
	MaxSubscriptions int   // topics of one subscriber, likewise. 0 means 65536
	MaxTopicBytes    int64 // bytes of all topics of one subscriber, likewise. 0 means 8 MiB

	HandshakeTimeout time.Duration // 0 means 5 s (ZMQ_HANDSHAKE_IVL has 30 s)
	MaxHandshakes    int           // at the same time; 0 means 512. Beyond, the oldest is closed for the newcomer

	// HeartbeatInterval is how often a peer of ZMTP 3.1 gets a PING. A peer that is not heard of for
	// HeartbeatTimeout after one is disconnected. A peer that has reached its own RecvHWM does not read
	// PINGs either: use heartbeats where the receiver keeps up.
	HeartbeatInterval time.Duration // 0 means never
	HeartbeatTimeout  time.Duration // 0 means HeartbeatInterval; see RouterHandover too
	HeartbeatTTL      time.Duration // the peer is asked to miss us after such a silence; 0 means not asked

	ConnectTimeout    time.Duration // of one try; 0 means 5 s
	ReconnectInterval time.Duration // first pause, with jitter; 0 means 100 ms, negative means no second try
	ReconnectMax      time.Duration // the pause doubles up to this; 0 means 5 s

	Immediate bool // queue only for peers that are connected (ZMQ_IMMEDIATE)

	RouterMandatory bool // ROUTER: Send returns ErrUnroutable or ErrFull instead of dropping; it never waits
	// RouterHandover makes a newcomer take a routing id over at once. Without it a ROUTER refuses the newcomer
	// unless the holder leaves a PING unanswered for HeartbeatTimeout; 0 means 3 s here.
	RouterHandover bool
	ReqRelaxed     bool // REQ: Send gives up an unanswered request; answers are matched (ZMQ_REQ_CORRELATE too)
	XPubVerbose    bool // XPUB: Recv reports every subscription, not only the first to a topic

	TCPKeepAlive time.Duration // 0 means 15 s, negative means never
	Backlog      int           // of listening; 0 means the system's
	// MaxConns is how many connections are accepted, those in their handshake included, and those that have
	// ended but left messages that Recv has not returned. 0 means 16384
	MaxConns          int
	ConnectsPerSecond int // from one remote address, with bursts of as many; 0 means unlimited

	Security Security // the zero value: NULL, and everybody may connect
	Inproc   *Inproc  // where inproc:// names are looked up; nil: no inproc

	Logger *slog.Logger // nil means slog.Default()
}

func (o *Options) setDefaults() {
	orDefault(&o.SendHWM, 1000)
	orDefault(&o.SendBytes, 256<<20)
	orDefault(&o.RecvHWM, 1000)
	orDefault(&o.Linger, time.Second)
	orDefault(&o.MaxMessageSize, 64<<20)
	orDefault(&o.MaxParts, 4096)
	orDefault(&o.MaxSubscriptions, 65536)
	orDefault(&o.MaxTopicBytes, 8<<20)
	orDefault(&o.HandshakeTimeout, 5*time.Second)
	orDefault(&o.MaxHandshakes, 512)
	orDefault(&o.HeartbeatTimeout, o.HeartbeatInterval)
	orDefault(&o.ConnectTimeout, 5*time.Second)
	orDefault(&o.ReconnectInterval, 100*time.Millisecond)
	orDefault(&o.ReconnectMax, max(5*time.Second, o.ReconnectInterval))
	orDefault(&o.MaxConns, 16384)
	unlimited(&o.SendHWM, math.MaxInt)
	unlimited(&o.SendBytes, math.MaxInt64)
	unlimited(&o.RecvHWM, math.MaxInt)
	unlimited(&o.MaxMessageSize, math.MaxInt64/4)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func unlimited[T int | int64](field *T, value T) {
	if *field < 0 {
		*field = value
	}
}

// Validate names the first field that cannot be used.
func (o *Options) Validate() error {
	switch {
	case len(o.RoutingID) > maxRoutingID:
		return fmt.Errorf("zeromq: RoutingID: longer than %d bytes", maxRoutingID)
	case o.HeartbeatTTL > math.MaxUint16*100*time.Millisecond:
		return errors.New("zeromq: HeartbeatTTL: longer than 6553 s")
	case o.ReconnectMax > 0 && o.ReconnectMax < o.ReconnectInterval:
		return errors.New("zeromq: ReconnectMax: less than ReconnectInterval")
	}
	if err := o.Security.Validate(); err != nil {
		return err
	}
	return notNegative(
		field{"MaxParts", int64(o.MaxParts)}, field{"MaxSubscriptions", int64(o.MaxSubscriptions)},
		field{"MaxTopicBytes", o.MaxTopicBytes},
		field{"HandshakeTimeout", int64(o.HandshakeTimeout)}, field{"MaxHandshakes", int64(o.MaxHandshakes)},
		field{"HeartbeatInterval", int64(o.HeartbeatInterval)}, field{"HeartbeatTimeout", int64(o.HeartbeatTimeout)},
		field{"HeartbeatTTL", int64(o.HeartbeatTTL)}, field{"ConnectTimeout", int64(o.ConnectTimeout)},
		field{"ReconnectMax", int64(o.ReconnectMax)}, field{"Backlog", int64(o.Backlog)},
		field{"MaxConns", int64(o.MaxConns)}, field{"ConnectsPerSecond", int64(o.ConnectsPerSecond)},
	)
}

func (o *Options) limits() limits {
	return limits{frame: o.MaxMessageSize, message: o.MaxMessageSize, parts: o.MaxParts, command: maxTopic}
}
