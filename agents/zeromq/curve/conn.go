package curve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	greetingSize = 64
	mechanism    = "CURVE"
)

// Conn is one end of a connection. Handshake comes first. After it either Read and Write carry a ZMTP stream
// of mechanism NULL, or Sealer and Opener carry single frames over NetConn: one way or the other, not both.
// Read and Write may each be used by one goroutine at a time.
type Conn struct {
	net.Conn
	shake func(context.Context, *Conn) error
	once  sync.Once
	err   error // of the handshake

	peer         PublicKey
	userID       string
	metadata     Metadata
	major, minor byte
	sealer       *Sealer
	opener       *Opener

	in  reader
	out writer
}

var errNoHandshake = errors.New("curve: Handshake has not succeeded")

// Server returns the server's end of conn, of which it now owns the reading and writing, not the closing. It
// does nothing yet.
func Server(conn net.Conn, cfg ServerConfig) *Conn {
	cfg.setDefaults()
	return &Conn{Conn: conn, in: reader{max: cfg.MaxFrame}, shake: (&server{cfg: cfg}).shake}
}

// Client returns the client's end of conn, of which it now owns the reading and writing, not the closing. It
// does nothing yet.
func Client(conn net.Conn, cfg ClientConfig) *Conn {
	return &Conn{Conn: conn, in: reader{max: cfg.MaxFrame}, shake: (&client{cfg: cfg}).shake}
}

// Handshake performs the handshake, bounded by ctx and by the deadlines of the connection. It reads not one
// byte too much. Another call waits for the first and returns the same. After an error the caller closes the
// connection. A server that refuses a client has told it so by then, if it is to be told.
func (c *Conn) Handshake(ctx context.Context) error {
	c.once.Do(func() {
		if c.err = c.handshake(ctx); c.err != nil {
			c.sealer, c.opener = nil, nil
		}
	})
	return c.err
}

func (c *Conn) handshake(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	interrupt := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err := c.shake(ctx, c)
	if !interrupt() {
		return context.Cause(ctx)
	}
	return err
}

// NetConn is the connection beneath. After Handshake the peer's next byte on it begins a MESSAGE.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// PeerKey is the long-term key of the peer. It is proven.
func (c *Conn) PeerKey() PublicKey { return c.peer }

// UserID is what Authorise of a server made of the client; at a client it is empty.
func (c *Conn) UserID() string { return c.userID }

// PeerMetadata is what the peer says of itself.
func (c *Conn) PeerMetadata() Metadata { return c.metadata }

// PeerVersion is the version of ZMTP that the peer announces. From 3.1 on peers answer PING.
func (c *Conn) PeerVersion() (major, minor byte) { return c.major, c.minor }

// Sealer seals the frames that this end sends; nil before Handshake has succeeded.
func (c *Conn) Sealer() *Sealer { return c.sealer }

// Opener opens the frames that this end receives; nil before Handshake has succeeded.
func (c *Conn) Opener() *Opener { return c.opener }

// CloseWrite tells the peer that nothing more comes, where the connection beneath can.
func (c *Conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// greet exchanges greetings. Both ends speak first, so neither may wait for the other to listen.
func (c *Conn) greet() error {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Conn.Write(greeting(mechanism, 1))
		sent <- err
	}()
	err := c.readGreeting()
	if err != nil {
		c.SetWriteDeadline(time.Unix(1, 0)) // nothing more is said
	}
	if failed := <-sent; err == nil && failed != nil {
		err = fmt.Errorf("curve: %w", failed)
	}
	return err
}

func (c *Conn) readGreeting() error {
	var b [greetingSize]byte
	if _, err := io.ReadFull(c.Conn, b[:11]); err != nil { // what is no ZMTP shows at once
		return refused("greeting: %w", err)
	}
	if b[0] != 0xff || b[9] != 0x7f {
		return refused("not a ZMTP signature")
	}
	if b[10] < 3 {
		return refused("ZMTP version %d", b[10])
	}
	if _, err := io.ReadFull(c.Conn, b[11:]); err != nil {
		return refused("greeting: %w", err)
	}
	c.major, c.minor = b[10], b[11]
	if name := strings.TrimRight(string(b[12:32]), "\x00"); name != mechanism {
		return refused("mechanism %.20q, not CURVE", name)
	}
	return nil
}

// greeting of ZMTP 3; the as-server bit stays 0, as with libzmq.
func greeting(mechanism string, minor byte) []byte {
	b := make([]byte, greetingSize)
	b[0], b[8], b[9], b[10], b[11] = 0xff, 1, 0x7f, 3, minor
	copy(b[12:], mechanism)
	return b
}

// command reads the body of one command frame, of at most this size. It reads no byte of what follows.
func (c *Conn) command(most int) ([]byte, error) {
	var h [9]byte
	if _, err := io.ReadFull(c.Conn, h[:2]); err != nil {
		return nil, refused("command: %w", err)
	}
	if h[0]&flagLong != 0 {
		if _, err := io.ReadFull(c.Conn, h[2:]); err != nil {
			return nil, refused("command: %w", err)
		}
	}
	flags, size, _ := parseHeader(h[:])
	if flags&^flagLong != flagCommand || size > uint64(most) {
		return nil, refused("frame with flags %#x of %d bytes", flags, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.Conn, body); err != nil {
		return nil, refused("command: %w", err)
	}
	return body, nil
}

func (c *Conn) send(body []byte) error {
	_, err := c.Conn.Write(appendCommand(nil, body))
	if err != nil {
		return fmt.Errorf("curve: %w", err)
	}
	return nil
}
