package zeromq

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// handshake is what one end of a new connection says and demands.
type handshake struct {
	own       zmq4.SocketType
	routingID string
	security  *Security
	addr      string            // of the peer
	admit     func(ready) error // of the accepting end: may refuse the peer; nil admits everybody

	sealer *curve.Sealer // of what this end sends, after perform; nil: frames travel as they are
}

// perform opens conn, which in reads from. When it fails it returns what is known of the peer.
func (h *handshake) perform(ctx context.Context, conn net.Conn, in *decoder) (ready, error) {
	if !h.security.curve() {
		g := &gate{Conn: conn, in: in, own: h.own, admit: h.admit, security: h.security, authenticate: h.authenticator(ctx)}
		g.peer.mechanism = h.security.mechanism()
		return g.open(h.routingID)
	}
	c, peer, err := h.encrypt(ctx, conn)
	if err != nil {
		peer.mechanism = mechanismCurve
		return peer, err
	}
	h.sealer, in.opener = c.Sealer(), c.Opener()
	return peer, nil
}

// authenticator is nil when nobody has to be asked.
func (h *handshake) authenticator(ctx context.Context) func(AuthRequest) (string, error) {
	s := h.security
	if s.Auth == nil || (h.admit == nil && !s.PlainServer && s.CurveServer == nil) {
		return nil
	}
	return func(r AuthRequest) (string, error) {
		if ap, err := netip.ParseAddrPort(h.addr); err == nil {
			r.Addr = ap.Addr().Unmap()
		}
		userID, err := s.Auth.Authenticate(ctx, r)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrUnauthorized, err)
		}
		return userID, nil
	}
}

const (
	greetingSize  = 64
	maxReady      = 16 << 10
	maxRoutingID  = 255
	mechanismNull = "NULL"

	mechanismPlain = "PLAIN"
	mechanismCurve = "CURVE"
	refusal        = "\x03400" // the body of the ERROR command that libzmq takes for a final no
)

// ready is what a peer says of itself in the READY command.
type ready struct {
	socketType zmq4.SocketType
	routingID  string
	mechanism  string
	userID     string
	minor      byte // of the ZMTP version that the greeting announced; from 3.1 on peers answer PING
}

// parseGreeting reads the 64 bytes that open a ZMTP connection and returns the minor version.
func parseGreeting(b []byte, want string) (minor byte, err error) {
	if err := checkSignature(b); err != nil {
		return 0, err
	}
	mechanism := strings.TrimRight(string(b[12:32]), "\x00")
	if mechanism != want {
		return 0, fmt.Errorf("%w: mechanism %.20q, not %s", ErrHandshake, mechanism, want)
	}
	if b[10] > 3 {
		return 0xff, nil // a later major version falls back to ours
	}
	return b[11], nil
}

// checkSignature looks at the first 11 bytes only, so what does not speak ZMTP 3 is refused at once.
func checkSignature(b []byte) error {
	if b[0] != 0xff || b[9] != 0x7f {
		return fmt.Errorf("%w: not a ZMTP signature", ErrHandshake)
	}
	if b[10] < 3 {
		return fmt.Errorf("%w: ZMTP version %d", ErrHandshake, b[10])
	}
	return nil
}

// cleanGreeting is the greeting of a well-behaved NULL peer, which zmq4 reads in place of the real one.
func cleanGreeting() []byte {
	b := make([]byte, greetingSize)
	b[0], b[9], b[10] = 0xff, 0x7f, 3
	copy(b[12:], mechanismNull)
	return b
}

// expectCommand returns the data of a handshake command, which must be the one called name.
func expectCommand(body []byte, want string) ([]byte, error) {
	if string(body) == "^RROR"+refusal { // "\x5ERROR" in the C of libzmq 4.3's PLAIN
		return nil, fmt.Errorf("%w: %w: refused by the peer", ErrHandshake, ErrUnauthorized)
	}
	name, data, ok := parseCommand(body)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: malformed command", ErrHandshake)
	case name == want:
		return data, nil
	case name == zmq4.CmdError && string(data) == refusal:
		return nil, fmt.Errorf("%w: %w: refused by the peer", ErrHandshake, ErrUnauthorized)
	case name == zmq4.CmdError:
		return nil, fmt.Errorf("%w: refused by the peer: %.80q", ErrHandshake, data)
	}
	return nil, fmt.Errorf("%w: %.20q instead of %s", ErrHandshake, name, want)
}

// parseReady reads the metadata of READY or INITIATE. own is our socket type.
func parseReady(data []byte, own zmq4.SocketType) (ready, error) {
	var r ready
	seen := map[string]bool{}
	for len(data) > 0 {
		key, value, rest, ok := parseProperty(data)
		if !ok {
			return ready{}, fmt.Errorf("%w: malformed property", ErrHandshake)
		}
		key, data = strings.ToLower(key), rest
		if seen[key] {
			return ready{}, fmt.Errorf("%w: property %.40q twice", ErrHandshake, key)
		}
		seen[key] = true
		switch key {
		case "socket-type":
			r.socketType = zmq4.SocketType(value)
		case "identity":
			r.routingID = string(value)
		}
	}
	return r, r.check(own)
}

// check says whether a socket of type own takes such a peer.
func (r ready) check(own zmq4.SocketType) error {
	if len(r.routingID) > maxRoutingID {
		return fmt.Errorf("%w: routing id of %d bytes", ErrHandshake, len(r.routingID))
	}
	if !compatible(own, r.socketType) {
		return fmt.Errorf("%w: socket type %.20q", ErrHandshake, r.socketType)
	}
	return nil
}

// parseProperty reads one name and value of READY's metadata.
func parseProperty(b []byte) (key string, value, rest []byte, ok bool) {
	k := int(b[0])
	if k == 0 || len(b) < 1+k+4 {
		return "", nil, nil, false
	}
	size := binary.BigEndian.Uint32(b[1+k:])
	value = b[1+k+4:]
	if uint64(size) > uint64(len(value)) {
		return "", nil, nil, false
	}
	return string(b[1 : 1+k]), value[:size], value[size:], true
}

// appendReady appends the READY frame that zmq4 is given: only what it needs, in its own spelling.
func appendReady(dst []byte, r ready) []byte {
	body := appendProperty(nil, "Socket-Type", string(r.socketType))
	body = appendProperty(body, "Identity", r.routingID)
	return appendCommand(dst, zmq4.CmdReady, body)
}

func appendProperty(dst []byte, key, value string) []byte {
	dst = append(append(dst, byte(len(key))), key...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

// compatible asks zmq4, which panics on a type that it does not know.
func compatible(own, peer zmq4.SocketType) bool {
	switch peer {
	case zmq4.Pair, zmq4.Pub, zmq4.Sub, zmq4.Req, zmq4.Rep, zmq4.Dealer, zmq4.Router,
		zmq4.Pull, zmq4.Push, zmq4.XPub, zmq4.XSub:
		return own.IsCompatible(peer)
	}
	return false
}
