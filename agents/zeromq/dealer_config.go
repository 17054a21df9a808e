package zeromq

import (
	"fmt"
	"log/slog"
	"time"
)

// DealerConfig says where a Dealer connects and what it keeps while it cannot.
type DealerConfig struct {
	Endpoint  string // "tcp://host:port" or "ipc:///path"
	RoutingID string // at most 255 bytes; empty: the ROUTER invents one, a new one for each connection

	QueueMessages int   // outbound; Send blocks beyond. 0 means 1000
	QueueBytes    int64 // 0 means 8 MiB
	Inbox         int   // messages that wait in Messages or for Receive; then the socket is not read. 0 means 1000
	Batches       bool  // Receive takes the place of Messages, which stays empty

	ReconnectMin time.Duration // 0 means 100 ms; doubled after each failure, with jitter
	ReconnectMax time.Duration // 0 means 5 s

	DialTimeout      time.Duration // 0 means 5 s
	HandshakeTimeout time.Duration // 0 means 5 s
	WriteTimeout     time.Duration // a write that makes no progress for so long ends the connection; 0 means 30 s

	MaxMessage int64 // what the ROUTER may send; as in RouterConfig, but what is skipped is only logged. 0 means 1 MiB
	MaxFrame   int64 // 0 means 2*MaxMessage
	MaxParts   int   // 0 means 128

	HeartbeatInterval time.Duration // as in RouterConfig: 0 means 10 s, negative means never
	HeartbeatTimeout  time.Duration // 0 means 3 s

	Linger time.Duration // at the end of Run the queue is flushed for so long at most; 0 means 1 s

	Security Security // the zero value: NULL

	Logger *slog.Logger // nil means slog.Default()
}

func (c *DealerConfig) setDefaults() {
	orDefault(&c.QueueMessages, 1000)
	orDefault(&c.QueueBytes, 8<<20)
	orDefault(&c.Inbox, 1000)
	orDefault(&c.ReconnectMin, 100*time.Millisecond)
	orDefault(&c.ReconnectMax, max(5*time.Second, c.ReconnectMin))
	orDefault(&c.DialTimeout, 5*time.Second)
	orDefault(&c.HandshakeTimeout, 5*time.Second)
	orDefault(&c.WriteTimeout, 30*time.Second)
	orDefault(&c.MaxMessage, 1<<20)
	orDefault(&c.MaxFrame, 2*c.MaxMessage)
	orDefault(&c.MaxParts, 128)
	orDefault(&c.HeartbeatInterval, 10*time.Second)
	orDefault(&c.HeartbeatTimeout, 3*time.Second)
	orDefault(&c.Linger, time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Validate names the first field that cannot be used.
func (c *DealerConfig) Validate() error {
	if _, err := parseEndpoint(c.Endpoint); err != nil {
		return fmt.Errorf("zeromq: Endpoint: %w", err)
	}
	if len(c.RoutingID) > maxRoutingID {
		return fmt.Errorf("zeromq: RoutingID: longer than %d bytes", maxRoutingID)
	}
	if c.ReconnectMax < c.ReconnectMin {
		return fmt.Errorf("zeromq: ReconnectMax: less than ReconnectMin")
	}
	if err := c.Security.Validate(); err != nil {
		return err
	}
	return notNegative(
		field{"QueueMessages", int64(c.QueueMessages)}, field{"QueueBytes", c.QueueBytes}, field{"Inbox", int64(c.Inbox)},
		field{"ReconnectMin", int64(c.ReconnectMin)}, field{"DialTimeout", int64(c.DialTimeout)},
		field{"HandshakeTimeout", int64(c.HandshakeTimeout)}, field{"WriteTimeout", int64(c.WriteTimeout)},
		field{"MaxMessage", c.MaxMessage}, field{"MaxFrame", c.MaxFrame}, field{"MaxParts", int64(c.MaxParts)},
		field{"HeartbeatTimeout", int64(c.HeartbeatTimeout)}, field{"Linger", int64(c.Linger)},
	)
}

type field struct {
	name  string
	value int64
}

func notNegative(fields ...field) error {
	for _, f := range fields {
		if f.value < 0 {
			return fmt.Errorf("zeromq: %s: negative", f.name)
		}
	}
	return nil
}
