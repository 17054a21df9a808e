package zeromq

import (
	"fmt"
	"net"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// gate stands between a connection and zmq4.Open. It reads and checks the greeting and READY of the peer
// itself and hands zmq4 clean copies, so nothing a stranger sends reaches code that trusts its input, and
// it decides when our own bytes leave.
//
// An encrypted transport fits below it as a net.Conn of its own.
type gate struct {
	net.Conn
	in    *decoder // owns the read buffer; messages that follow READY closely stay in it
	own   zmq4.SocketType
	admit func(ready) error // may refuse the peer; nil admits everybody

	peer    ready
	greeted bool
	replay  []byte // checked bytes that zmq4 has not read yet
	out     []byte // what zmq4 wrote since the last flush
}

// open performs the ZMTP handshake. With admit, our READY waits for the peer's: a peer that is refused has
// not been told that it is connected, so it keeps its messages and tries again.
func (g *gate) open(routingID string) (ready, error) {
	// zmq4 ends our greeting with version 3.0; flush announces 3.1, which promises to answer PING.
	_, err := zmq4.Open(g, null.Security(), g.own, zmq4.SocketIdentity(routingID), g.admit != nil, nil)
	if err == nil {
		err = g.flush()
	}
	return g.peer, err
}

// Write keeps p until the next read: a handshake takes two writes instead of six.
func (g *gate) Write(p []byte) (int, error) {
	g.out = append(g.out, p...)
	return len(p), nil
}

func (g *gate) flush() error {
	if len(g.out) == 0 {
		return nil
	}
	_, err := g.Conn.Write(g.out)
	g.out = g.out[:0]
	return err
}

func (g *gate) Read(p []byte) (int, error) {
	if len(g.replay) == 0 {
		step := g.readGreeting
		if g.greeted {
			step = g.readReady
		}
		if err := step(); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.replay)
	g.replay = g.replay[n:]
	return n, nil
}

func (g *gate) readGreeting() error {
	if len(g.out) == greetingSize {
		g.out[11] = 1
	}
	if err := g.flush(); err != nil {
		return err
	}
	b, err := g.in.peek(11)
	if err != nil {
		return fmt.Errorf("%w: greeting: %w", ErrHandshake, err)
	}
	if err := checkSignature(b); err != nil {
		return err
	}
	if b, err = g.in.peek(greetingSize); err != nil {
		return fmt.Errorf("%w: greeting: %w", ErrHandshake, err)
	}
	if g.peer.minor, err = parseGreeting(b); err != nil {
		return err
	}
	g.in.r += greetingSize
	g.greeted, g.replay = true, cleanGreeting()
	return nil
}

func (g *gate) readReady() error {
	if g.admit == nil {
		if err := g.flush(); err != nil {
			return err
		}
	}
	body, err := g.readCommand()
	if err != nil {
		return err
	}
	peer, err := parseReady(body, g.own)
	if err != nil {
		return err
	}
	peer.minor = g.peer.minor
	g.peer = peer
	if g.admit != nil {
		if err := g.admit(peer); err != nil {
			return err
		}
	}
	g.replay = appendReady(nil, peer)
	return g.flush()
}

// readCommand reads the frame after the greeting, of a bounded size.
func (g *gate) readCommand() ([]byte, error) {
	b, err := g.in.peek(2)
	if err == nil && b[0]&flagLong != 0 {
		b, err = g.in.peek(9)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: READY: %w", ErrHandshake, err)
	}
	h, n := parseHeader(b)
	if h.flags&^flagLong != flagCommand || h.size > maxReady {
		return nil, fmt.Errorf("%w: frame with flags %#x of %d bytes instead of READY", ErrHandshake, h.flags, h.size)
	}
	g.in.r += n
	body := make([]byte, h.size)
	if err := g.in.read(body); err != nil {
		return nil, fmt.Errorf("%w: READY: %w", ErrHandshake, err)
	}
	return body, nil
}
