package zeromq

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// CurveServer is the end of a CURVE connection whose key the others know beforehand. It must not be copied
// once it is in use; several sockets may share one.
type CurveServer struct {
	Secret curve.SecretKey
	// Authorise decides whose keys are welcome: curve.TrustedKeys, curve.AnyKey or a function. The user id that
	// it returns stands on the peer and on each of its messages. A client that it refuses is told "400", which
	// libzmq takes for final. It is asked at the handshake only: whoever is connected stays, as with libzmq.
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
	case s.curve() && (s.PlainServer || s.PlainUsername != ""):
		return errors.New("zeromq: Security: CURVE and PLAIN exclude each other")
	case server != nil && server.Secret.IsZero():
		return errors.New("zeromq: Security: CurveServer: Secret: no key")
	case server != nil && server.Authorise == nil:
		return errors.New("zeromq: Security: CurveServer: Authorise: missing; curve.AnyKey admits everybody")
	case client != nil && client.Server.IsZero():
		return errors.New("zeromq: Security: CurveClient: Server: no key")
	}
	return nil
}

// encrypt performs the handshake of CURVE. Its metadata takes the place of READY, so neither the gate nor
// zmq4 has a part in it but for the types that fit together.
func (h *handshake) encrypt(ctx context.Context, conn net.Conn) (*curve.Conn, ready, error) {
	metadata := curve.SocketMetadata(string(h.own), h.routingID)
	if h.security.CurveServer != nil {
		return h.serveCurve(ctx, conn, metadata)
	}
	client := h.security.CurveClient
	if ask := h.authenticator(ctx); ask != nil {
		if _, err := ask(AuthRequest{Mechanism: mechanismCurve}); err != nil {
			return nil, ready{}, err
		}
	}
	c := curve.Client(conn, curve.ClientConfig{Server: client.Server, Secret: client.Secret, Metadata: metadata})
	if err := c.Handshake(ctx); err != nil {
		return nil, ready{}, curveError(err)
	}
	peer, err := h.introduced(c.PeerMetadata())
	if err != nil {
		return nil, peer, err
	}
	peer.minor = curveMinor(c)
	if h.admit != nil {
		err = h.admit(peer)
	}
	return c, peer, err
}

// serveCurve admits the client before it is told that it is connected: one that is refused keeps its messages.
func (h *handshake) serveCurve(ctx context.Context, conn net.Conn, metadata curve.Metadata) (*curve.Conn, ready, error) {
	server := h.security.CurveServer
	cfg := curve.ServerConfig{Secret: server.Secret, Cookies: &server.cookies, Metadata: metadata}
	if ask := h.authenticator(ctx); ask != nil {
		cfg.Screen = func(context.Context, net.Addr) error {
			_, err := ask(AuthRequest{Mechanism: mechanismCurve})
			return err
		}
	}
	var c *curve.Conn
	var peer ready
	cfg.Authorise = func(ctx context.Context, r curve.Request) (userID string, err error) {
		introduced, unfit := h.introduced(r.Metadata)
		peer = introduced // an event says who was refused
		if userID, err = server.Authorise(ctx, r); err != nil {
			return "", err
		}
		if err = unfit; err == nil && h.admit != nil {
			peer.minor, peer.userID = curveMinor(c), userID
			err = h.admit(peer)
		}
		if err != nil { // nothing that is final
			return "", fmt.Errorf("%w: %w", err, &curve.RefusedError{Code: "300"})
		}
		return userID, nil
	}
	c = curve.Server(conn, cfg)
	if err := c.Handshake(ctx); err != nil {
		return nil, peer, curveError(err)
	}
	peer.minor, peer.userID = curveMinor(c), c.UserID()
	return c, peer, nil
}

// introduced is what the peer says of itself.
func (h *handshake) introduced(m curve.Metadata) (ready, error) {
	r := ready{socketType: zmq4.SocketType(m.Get("Socket-Type")), routingID: m.Get("Identity"), mechanism: mechanismCurve}
	return r, r.check(h.own)
}

// curveMinor is the minor version as the gate has it.
func curveMinor(c *curve.Conn) byte {
	major, minor := c.PeerVersion()
	if major > 3 {
		return 0xff
	}
	return minor
}

// curveError tells a refusal that is final from everything else.
func curveError(err error) error {
	if refusal, ok := errors.AsType[*curve.RefusedError](err); ok && refusal.Code != "300" {
		return fmt.Errorf("%w: %w: %w", ErrHandshake, ErrUnauthorized, err)
	}
	return fmt.Errorf("%w: %w", ErrHandshake, err)
}
