package zeromq

import (
	"errors"
	"fmt"
	"net"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// gate stands between a connection and zmq4.Open. It reads and checks the greeting and READY of the peer
// itself and hands zmq4 clean copies, so nothing a stranger sends reaches code that trusts its input, and
// it decides when our own bytes leave. CURVE does without it: there nothing but the metadata is left to check.
type gate struct {
	net.Conn
	in    *decoder // owns the read buffer; messages that follow READY closely stay in it
	own   zmq4.SocketType
	admit func(ready) error // may refuse the peer; nil admits everybody

	security     *Security
	authenticate func(AuthRequest) (userID string, err error) // nil: everybody

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
	if errors.Is(err, ErrUnauthorized) {
		// The refused end learns it if it can; what matters is that the connection is closed.
		_, _ = g.Conn.Write(appendCommand(nil, zmq4.CmdError, []byte(refusal)))
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
		copy(g.out[12:32], g.security.mechanism()) // zmq4 wrote NULL, which is the shortest
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
	if g.peer.minor, err = parseGreeting(b, g.security.mechanism()); err != nil {
		return err
	}
	g.in.r += greetingSize
	g.greeted, g.replay = true, cleanGreeting()
	return nil
}

func (g *gate) readReady() error {
	metadata, err := g.readMetadata()
	if err != nil {
		return err
	}
	peer, err := parseReady(metadata, g.own)
	if err != nil {
		return err
	}
	peer.minor, peer.mechanism, peer.userID = g.peer.minor, g.peer.mechanism, g.peer.userID
	g.peer = peer // an event says who was refused
	if g.authenticate != nil && !g.security.PlainServer {
		if peer.userID, err = g.authenticate(AuthRequest{Mechanism: peer.mechanism, RoutingID: peer.routingID}); err != nil {
			return err
		}
	}
	g.peer = peer
	if g.admit != nil {
		if err := g.admit(peer); err != nil {
			return err
		}
	}
	g.replay = appendReady(nil, peer)
	return g.flush()
}

// readMetadata plays our part of the mechanism up to the peer's metadata.
func (g *gate) readMetadata() ([]byte, error) {
	switch {
	case g.security.PlainServer:
		return g.servePlain()
	case g.security.PlainUsername != "":
		return g.askPlain()
	case g.admit == nil:
		if err := g.flush(); err != nil {
			return nil, err
		}
	}
	return g.readCommand(zmq4.CmdReady)
}

// servePlain checks HELLO, says WELCOME and returns the metadata of INITIATE (RFC 24).
func (g *gate) servePlain() ([]byte, error) {
	data, err := g.readCommand(zmq4.CmdHello)
	if err != nil {
		return nil, err
	}
	username, data, ok := parseShortString(data)
	password, data, ok2 := parseShortString(data)
	if !ok || !ok2 || len(data) > 0 {
		return nil, fmt.Errorf("%w: malformed HELLO", ErrHandshake)
	}
	g.peer.userID, err = g.authenticate(AuthRequest{Mechanism: mechanismPlain, Username: username, Password: password})
	if err != nil {
		return nil, err
	}
	if _, err := g.Conn.Write(appendCommand(nil, zmq4.CmdWelcome, nil)); err != nil {
		return nil, err
	}
	return g.readCommand(zmq4.CmdInitiate)
}

// askPlain says HELLO and sends our metadata, which zmq4 has put into READY, as INITIATE.
func (g *gate) askPlain() ([]byte, error) {
	own := g.out
	h, n := parseHeader(own)
	metadata, err := expectCommand(own[n:n+int(h.size)], zmq4.CmdReady)
	if err != nil {
		return nil, err
	}
	hello := appendShortString(appendShortString(nil, g.security.PlainUsername), g.security.PlainPassword)
	if _, err := g.Conn.Write(appendCommand(nil, zmq4.CmdHello, hello)); err != nil {
		return nil, err
	}
	if _, err := g.readCommand(zmq4.CmdWelcome); err != nil {
		return nil, err
	}
	g.out = appendCommand(nil, zmq4.CmdInitiate, metadata)
	if err := g.flush(); err != nil {
		return nil, err
	}
	return g.readCommand(zmq4.CmdReady)
}

func appendShortString(dst []byte, s string) []byte { return append(append(dst, byte(len(s))), s...) }

func parseShortString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

// readCommand reads the next frame of the handshake, of a bounded size, and returns its data.
func (g *gate) readCommand(name string) ([]byte, error) {
	b, err := g.in.peek(2)
	if err == nil && b[0]&flagLong != 0 {
		b, err = g.in.peek(9)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrHandshake, name, err)
	}
	h, n := parseHeader(b)
	if h.flags&^flagLong != flagCommand || h.size > maxReady {
		return nil, fmt.Errorf("%w: frame with flags %#x of %d bytes instead of %s", ErrHandshake, h.flags, h.size, name)
	}
	g.in.r += n
	body := make([]byte, h.size)
	if err := g.in.read(body); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrHandshake, name, err)
	}
	return expectCommand(body, name)
}
