package curve

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// ServerConfig is the same for all connections of a server.
type ServerConfig struct {
	Secret    SecretKey // the server's key, whose public half the clients know
	Metadata  Metadata  // what READY tells the client; SocketMetadata makes it
	Authorise Authorise // who may come; AnyKey and TrustedKeys are ready ones
	// Screen refuses by address, before anything is computed for a stranger; its errors are told as those of
	// Authorise are. nil lets everybody try.
	Screen  func(ctx context.Context, addr net.Addr) error
	Cookies *Cookies // shared by the connections of a server; nil means one for each, which costs more

	MaxFrame int // bytes of a frame's body that Read takes; 0 means 16 MiB. Opener leaves it to its caller
}

// ClientConfig is the same for all connections to a server.
type ClientConfig struct {
	Server   PublicKey // the server's key; another server cannot even read HELLO
	Secret   SecretKey // the client's key; the zero value means a new one for each connection
	Metadata Metadata  // what INITIATE tells the server; SocketMetadata makes it

	MaxFrame int // bytes of a frame's body that Read takes; 0 means 16 MiB. Opener leaves it to its caller
}

const defaultMaxFrame = 16 << 20

// Validate names the first field that cannot be used.
func (c *ServerConfig) Validate() error {
	switch {
	case c.Secret.IsZero():
		return errors.New("curve: Secret: no key")
	case c.Authorise == nil:
		return errors.New("curve: Authorise: missing; AnyKey admits everybody")
	}
	return validate(c.Metadata, c.MaxFrame)
}

// Validate names the first field that cannot be used.
func (c *ClientConfig) Validate() error {
	if c.Server.IsZero() {
		return errors.New("curve: Server: no key")
	}
	return validate(c.Metadata, c.MaxFrame)
}

func validate(m Metadata, maxFrame int) error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("curve: %w", err)
	}
	if maxFrame < 0 {
		return fmt.Errorf("curve: MaxFrame: %d is negative", maxFrame)
	}
	return nil
}

func (c *ServerConfig) setDefaults() {
	if c.Cookies == nil {
		c.Cookies = NewCookies()
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = defaultMaxFrame
	}
}

func (c *ClientConfig) setDefaults() {
	if c.Secret.IsZero() {
		_, c.Secret = GenerateKeyPair()
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = defaultMaxFrame
	}
}
