package zeromq

import (
	"encoding/binary"
	"fmt"
	"time"
)

const (
	maxPingContext    = 16  // RFC 37
	commandsPerSecond = 500 // libzmq's shortest useful heartbeat needs ten
)

// commands answers the commands of one connection after the handshake.
type commands struct {
	out    *outbox
	ttl    func(time.Duration)                          // the peer wants to be missed after such a silence; may be nil
	other  func(name string, data []byte) (bool, error) // knows more commands than these; may be nil
	second int64
	count  int
}

// handle is the decoder's onCommand.
func (c *commands) handle(name string, data []byte) error {
	if c.other != nil {
		if known, err := c.other(name, data); known {
			return err
		}
	}
	if now := time.Now().Unix(); now != c.second {
		c.second, c.count = now, 0
	}
	if c.count++; c.count > commandsPerSecond {
		return fmt.Errorf("%w: more than %d commands in a second", ErrProtocol, commandsPerSecond)
	}
	switch name {
	case "PING": // a time to live in two bytes, then a context to echo
		if len(data) < 2 || len(data) > 2+maxPingContext {
			return fmt.Errorf("%w: PING of %d bytes", ErrProtocol, len(data))
		}
		if tenths := binary.BigEndian.Uint16(data); tenths > 0 && c.ttl != nil {
			c.ttl(time.Duration(tenths) * 100 * time.Millisecond)
		}
		if !c.out.command("PONG", data[2:]) {
			return fmt.Errorf("%w: PINGs without reading the answers", ErrProtocol)
		}
		return nil
	case "PONG":
		return nil // reading it was the point
	case "ERROR":
		return fmt.Errorf("%w: peer reports an error: %.80q", ErrProtocol, data)
	}
	return fmt.Errorf("%w: unknown command %.20q", ErrProtocol, name)
}
