package zeromq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// Security says how connections are secured and who may have one. The zero value is the NULL mechanism and
// everybody.
type Security struct {
	// Auth is asked about every connection that is accepted and, of a PLAIN server, every client. It must
	// not wait longer than a handshake may take. nil admits everybody.
	Auth Authenticator

	// PlainServer demands a user name and password that Auth checks (RFC 24). As in libzmq the role does
	// not depend on who binds. The password crosses the network in the clear.
	PlainServer bool
	// PlainUsername, if not empty, makes this end a PLAIN client.
	PlainUsername string
	PlainPassword string

	// CurveServer or CurveClient encrypts the connection and proves who is at its ends (RFC 26). As in libzmq
	// the role does not depend on who binds. Either excludes the other and PLAIN.
	CurveServer *CurveServer
	CurveClient *CurveClient

	// Wrap puts a mechanism of its own under ZMTP. It performs that handshake within ctx and
	// the deadline that conn bears, asks whatever it wants to about the peer, and returns a connection that
	// speaks ZMTP with the NULL mechanism from its first byte. Auth is not asked again. nil: NULL or PLAIN.
	Wrap func(ctx context.Context, conn net.Conn) (Secured, error)
}

// CurveServer is the end of a CURVE connection whose key the others know beforehand. It must not be copied
// once it is in use; several sockets may share one.
type CurveServer struct {
	Secret curve.SecretKey
	// Authorise decides whose keys are welcome: curve.TrustedKeys, curve.AnyKey or a function. The user id that
	// it returns stands on the peer and on each of its messages; a client that it refuses is told "400".
	Authorise curve.Authorise

	cookies curve.Cookies
}

// CurveClient is the end of a CURVE connection that knows the key of the server.
type CurveClient struct {
	Server curve.PublicKey
	Secret curve.SecretKey // the client's own; the zero value means a new one for each connection
}

func (s *Security) curve() bool { return s.CurveServer != nil || s.CurveClient != nil }

func (s *Security) validateCurve() error {
	switch server, client := s.CurveServer, s.CurveClient; {
	case server != nil && client != nil:
		return errors.New("zeromq: Security: CurveServer and CurveClient exclude each other")
	case s.curve() && (s.Wrap != nil || s.PlainServer || s.PlainUsername != ""):
		return errors.New("zeromq: Security: CURVE excludes PLAIN and Wrap")
	case server != nil && server.Secret.IsZero():
		return errors.New("zeromq: Security: CurveServer: Secret: no key")
	case server != nil && server.Authorise == nil:
		return errors.New("zeromq: Security: CurveServer: Authorise: missing; curve.AnyKey admits everybody")
	case client != nil && client.Server.IsZero():
		return errors.New("zeromq: Security: CurveClient: Server: no key")
	}
	return nil
}

// Secured is a connection whose own mechanism has done its handshake.
type Secured struct {
	net.Conn         // decrypted; closing it closes what is below
	Mechanism string // "CURVE"
	UserID    string // who the peer is, for messages and events; may be empty
}

// AuthRequest is what a connection shows for itself, as a ZAP request (RFC 27) does.
type AuthRequest struct {
	Mechanism string     // "NULL" or "PLAIN"
	Addr      netip.Addr // zero for ipc and inproc
	RoutingID string     // what the peer calls itself; of a PLAIN client not known yet
	Username  string     // of PLAIN
	Password  string     // of PLAIN; never log it
}

// Authenticator decides who may connect. An error refuses; its text stays on this side. The user id stands
// on the peer and on each of its messages. Calls come from several goroutines.
type Authenticator interface {
	Authenticate(ctx context.Context, r AuthRequest) (userID string, err error)
}

// AuthFunc is a function as an Authenticator.
type AuthFunc func(ctx context.Context, r AuthRequest) (userID string, err error)

// Authenticate calls f.
func (f AuthFunc) Authenticate(ctx context.Context, r AuthRequest) (string, error) { return f(ctx, r) }

// AccessList is an Authenticator of address ranges and, for PLAIN, a password check.
type AccessList struct {
	Deny  []netip.Prefix // refused, whatever Allow says
	Allow []netip.Prefix // if not empty, all other addresses are refused; ipc and inproc have none and pass

	// CheckPassword is asked about PLAIN clients, whose user id is their user name. nil refuses them.
	CheckPassword func(ctx context.Context, username, password string) bool
}

// Authenticate implements Authenticator.
func (a *AccessList) Authenticate(ctx context.Context, r AuthRequest) (userID string, err error) {
	if r.Addr.IsValid() {
		in := func(p netip.Prefix) bool { return p.Contains(r.Addr) }
		if slices.ContainsFunc(a.Deny, in) || (len(a.Allow) > 0 && !slices.ContainsFunc(a.Allow, in)) {
			return "", fmt.Errorf("address %s is not allowed", r.Addr)
		}
	}
	if r.Mechanism != mechanismPlain {
		return "", nil
	}
	if a.CheckPassword == nil || !a.CheckPassword(ctx, r.Username, r.Password) {
		return "", errors.New("wrong user name or password")
	}
	return r.Username, nil
}

// Validate says what cannot be used.
func (s *Security) Validate() error {
	switch {
	case s.PlainServer && s.Auth == nil:
		return errors.New("zeromq: Security: PlainServer without Auth would check nothing")
	case s.PlainServer && s.PlainUsername != "":
		return errors.New("zeromq: Security: PlainServer and PlainUsername exclude each other")
	case s.Wrap != nil && (s.PlainServer || s.PlainUsername != ""):
		return errors.New("zeromq: Security: Wrap and PLAIN exclude each other")
	case len(s.PlainUsername) > 255 || len(s.PlainPassword) > 255:
		return errors.New("zeromq: Security: PlainUsername or PlainPassword longer than 255 bytes")
	}
	return s.validateCurve()
}

func (s *Security) mechanism() string {
	if s.PlainServer || s.PlainUsername != "" {
		return mechanismPlain
	}
	return mechanismNull
}

// handshake is what one end of a new connection says and demands.
type handshake struct {
	own       zmq4.SocketType
	routingID string
	security  *Security
	addr      string            // of the peer
	admit     func(ready) error // of the accepting end: may refuse the peer; nil admits everybody
}

// secure puts the mechanism, if it is not one that the gate speaks, under conn. Its limit on frames is limit.
func (h *handshake) secure(ctx context.Context, conn net.Conn, limit int64) (Secured, error) {
	var secured Secured
	var err error
	switch s := h.security; {
	case s.curve():
		secured, err = h.encrypt(ctx, conn, limit)
	case s.Wrap != nil:
		secured, err = s.Wrap(ctx, conn)
	default:
		return Secured{Conn: conn, Mechanism: s.mechanism()}, nil
	}
	if err != nil {
		return Secured{}, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return secured, nil
}

// encrypt performs the handshake of CURVE.
func (h *handshake) encrypt(ctx context.Context, conn net.Conn, limit int64) (Secured, error) {
	metadata := curve.SocketMetadata(string(h.own), h.routingID)
	var c *curve.Conn
	if client := h.security.CurveClient; client != nil {
		c = curve.Client(conn, curve.ClientConfig{
			Server: client.Server, Secret: client.Secret, Metadata: metadata, MaxFrame: int(limit),
		})
	} else {
		server := h.security.CurveServer
		c = curve.Server(conn, curve.ServerConfig{
			Secret: server.Secret, Authorise: server.Authorise, Cookies: &server.cookies, Metadata: metadata, MaxFrame: int(limit),
		})
	}
	err := c.Handshake(ctx)
	if refusal, ok := errors.AsType[*curve.RefusedError](err); ok && refusal.Code != "300" {
		err = fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	return Secured{Conn: c, Mechanism: mechanismCurve, UserID: c.UserID()}, err
}

// perform opens conn, which in reads from.
func (h *handshake) perform(ctx context.Context, conn Secured, in *decoder) (ready, error) {
	g := &gate{Conn: conn.Conn, in: in, own: h.own, admit: h.admit, security: h.security}
	g.peer.mechanism, g.peer.userID = conn.Mechanism, conn.UserID
	if h.security.Wrap == nil && !h.security.curve() {
		g.authenticate = h.authenticator(ctx)
	}
	return g.open(h.routingID)
}

// authenticator is nil when nobody has to be asked.
func (h *handshake) authenticator(ctx context.Context) func(AuthRequest) (string, error) {
	if h.security.Auth == nil || (h.admit == nil && !h.security.PlainServer) {
		return nil
	}
	return func(r AuthRequest) (string, error) {
		if ap, err := netip.ParseAddrPort(h.addr); err == nil {
			r.Addr = ap.Addr().Unmap()
		}
		userID, err := h.security.Auth.Authenticate(ctx, r)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrUnauthorized, err)
		}
		return userID, nil
	}
}
