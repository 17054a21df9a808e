package zeromq

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// RouterConfig says where a Router listens and what one peer may cost. Every limit holds before a byte is
// allocated on a peer's word.
type RouterConfig struct {
	Name string   // the agent's own routing id, refused to peers; may be empty
	Bind []string // "tcp://127.0.0.1:5555" (port 0 or *: any free one; host *: all), "ipc:///path"; at least one

	MaxMessage int64 // bytes of all frames; 0 means 1 MiB. Up to twice that is skipped and reported, beyond closes the peer
	MaxFrame   int64 // bytes of one frame; 0 means 2*MaxMessage. Beyond closes the peer
	MaxParts   int   // frames of one message; 0 means 128. Beyond closes the peer

	HandshakeTimeout  time.Duration // 0 means 5 s
	MaxHandshakes     int           // at the same time; 0 means 512. Beyond, the oldest is closed for the newcomer
	MaxConns          int           // peers and handshakes; 0 means 16384. Beyond, newcomers are closed
	ConnectsPerSecond int           // from one remote address, with bursts of as many; 0 means unlimited

	// One peer's outbound queue. A peer whose queue is full is closed: never thinned, never waited for.
	QueueMessages int           // 0 means 4096
	QueueBytes    int64         // 0 means 8 MiB
	WriteTimeout  time.Duration // a write that makes no progress for so long closes the peer; 0 means 30 s

	// Window is how many messages of one peer may be published and not yet released; then its socket is not
	// read until a quarter is free, which TCP makes the peer feel. 0 means 256.
	Window int
	// Buffer is how many messages wait for one subscriber of Messages; then no socket is read. 0 means 4096.
	Buffer int

	// A peer that has said nothing for HeartbeatInterval gets a PING, and has HeartbeatTimeout to say
	// anything. Peers of ZMTP 3.0, which need not know PING, are left to TCP keep-alive.
	HeartbeatInterval time.Duration // 0 means 10 s, negative means never
	HeartbeatTimeout  time.Duration // also of the PING that decides who keeps a routing id; 0 means 3 s

	Linger time.Duration // at the end of Run queues are flushed for so long at most; 0 means 1 s

	// Admit is asked, on the connection's goroutine, whether a peer may have a routing id that is free here. An
	// error refuses it as a duplicate; leave is called once when the peer has gone. nil admits everybody.
	Admit func(ctx context.Context, routingID string) (leave func(), err error)

	Security Security // the zero value: NULL, and everybody may connect

	Logger *slog.Logger // nil means slog.Default()
}

func (c *RouterConfig) setDefaults() {
	orDefault(&c.MaxMessage, 1<<20)
	orDefault(&c.MaxFrame, 2*c.MaxMessage)
	orDefault(&c.MaxParts, 128)
	orDefault(&c.HandshakeTimeout, 5*time.Second)
	orDefault(&c.MaxHandshakes, 512)
	orDefault(&c.MaxConns, 16384)
	orDefault(&c.QueueMessages, 4096)
	orDefault(&c.QueueBytes, 8<<20)
	orDefault(&c.WriteTimeout, 30*time.Second)
	orDefault(&c.Window, 256)
	orDefault(&c.Buffer, 4096)
	orDefault(&c.HeartbeatInterval, 10*time.Second)
	orDefault(&c.HeartbeatTimeout, 3*time.Second)
	orDefault(&c.Linger, time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate names the first field that cannot be used.
func (c *RouterConfig) Validate() error {
	if len(c.Bind) == 0 {
		return fmt.Errorf("zeromq: Bind: no endpoint")
	}
	for _, e := range c.Bind {
		if _, err := parseEndpoint(e); err != nil {
			return fmt.Errorf("zeromq: Bind: %w", err)
		}
	}
	if len(c.Name) > maxRoutingID {
		return fmt.Errorf("zeromq: Name: longer than %d bytes", maxRoutingID)
	}
	if err := c.Security.Validate(); err != nil {
		return err
	}
	return notNegative(
		field{"MaxMessage", c.MaxMessage}, field{"MaxFrame", c.MaxFrame}, field{"MaxParts", int64(c.MaxParts)},
		field{"HandshakeTimeout", int64(c.HandshakeTimeout)}, field{"MaxHandshakes", int64(c.MaxHandshakes)},
		field{"MaxConns", int64(c.MaxConns)}, field{"ConnectsPerSecond", int64(c.ConnectsPerSecond)},
		field{"QueueMessages", int64(c.QueueMessages)}, field{"QueueBytes", c.QueueBytes},
		field{"WriteTimeout", int64(c.WriteTimeout)}, field{"Window", int64(c.Window)}, field{"Buffer", int64(c.Buffer)},
		field{"HeartbeatTimeout", int64(c.HeartbeatTimeout)}, field{"Linger", int64(c.Linger)},
	)
}

func (c *RouterConfig) limits() limits {
	return limits{frame: c.MaxFrame, message: c.MaxMessage, parts: c.MaxParts}
}
