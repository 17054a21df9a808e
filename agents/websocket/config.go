package websocket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config holds what a Bridge needs to know. Every zero value is usable.
type Config struct {
	// Origins lists the web origins whose pages may connect ("https://chat.example"). Empty means
	// pages of the same host only; "*" means any, but then a session cookie of a page elsewhere is
	// still refused. A client that sends no Origin is not a browser and is not held to the list.
	Origins []string

	MaxMessage  int64 // bytes; 0 means 64 KiB. Up to twice that is skipped and published as TooLarge, beyond closes with 1009
	MaxOverhead int   // bytes of fragment headers and control frames within one message; 0 means 16 KiB

	QueueMessages int   // outbound per connection; 0 means 1024. Full: closed with 4413
	QueueBytes    int64 // outbound per connection; 0 means 1 MiB. Full: closed with 4413
	Window        int   // messages published and not released per connection; 0 means 256. Full: the socket is not read
	Buffer        int   // messages between the readers and each subscriber; 0 means 1024. Full: the sockets are not read
	MaxConns      int   // 0 means 65,536. Full: 503

	PingInterval     time.Duration // silence after which a peer is pinged; 0 means 25 s
	PongTimeout      time.Duration // silence after a ping that closes with 4408; 0 means 10 s
	WriteTimeout     time.Duration // for one write, and for a full or draining queue to get out; 0 means 10 s
	HandshakeTimeout time.Duration // for Authenticate and the 101 answer, each; 0 means 5 s
	MaxMessageTime   time.Duration // from the first frame of a message to its end, else 4408; 0 means 20 s

	// Authenticate checks the session that a client gives at the handshake, before the upgrade.
	// identity is what Conn.Identity returns; an error refuses with 401, one that wraps
	// ErrUnavailable with 503. It is called concurrently. nil means that such a session is ignored.
	Authenticate func(ctx context.Context, session string) (identity any, err error)

	Logger *slog.Logger // nil means none
}

func (c *Config) setDefaults() {
	c.MaxMessage = or(c.MaxMessage, 64<<10)
	c.MaxOverhead = or(c.MaxOverhead, 16<<10)
	c.QueueMessages = or(c.QueueMessages, 1024)
	c.QueueBytes = or(c.QueueBytes, 1<<20)
	c.Window = or(c.Window, 256)
	c.Buffer = or(c.Buffer, 1024)
	c.MaxConns = or(c.MaxConns, 65536)
	c.PingInterval = or(c.PingInterval, 25*time.Second)
	c.PongTimeout = or(c.PongTimeout, 10*time.Second)
	c.WriteTimeout = or(c.WriteTimeout, 10*time.Second)
	c.HandshakeTimeout = or(c.HandshakeTimeout, 5*time.Second)
	c.MaxMessageTime = or(c.MaxMessageTime, 20*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func or[T int | int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Validate names the first field that cannot be used. NewBridge calls it after the defaults are set.
func (c *Config) Validate() error {
	for _, o := range c.Origins {
		if o == anyOrigin {
			continue
		}
		if _, err := parseOrigin(o); err != nil {
			return fmt.Errorf("websocket: Origins: %q: %w", o, err)
		}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxMessage", c.MaxMessage},
		{"MaxOverhead", int64(c.MaxOverhead)},
		{"QueueMessages", int64(c.QueueMessages)},
		{"QueueBytes", c.QueueBytes},
		{"Window", int64(c.Window)},
		{"Buffer", int64(c.Buffer)},
		{"MaxConns", int64(c.MaxConns)},
		{"PingInterval", int64(c.PingInterval)},
		{"PongTimeout", int64(c.PongTimeout)},
		{"WriteTimeout", int64(c.WriteTimeout)},
		{"HandshakeTimeout", int64(c.HandshakeTimeout)},
		{"MaxMessageTime", int64(c.MaxMessageTime)},
	} {
		if f.value <= 0 {
			return fmt.Errorf("websocket: %s must be positive", f.name)
		}
	}
	if c.MaxMessage > 64<<20 {
		return errors.New("websocket: MaxMessage must be at most 64 MiB")
	}
	return nil
}
