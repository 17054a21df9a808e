package zeromq

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Security says how connections are secured and who may have one. The zero value is the NULL mechanism and
// everybody.
type Security struct {
	// Auth is asked about every connection that is accepted and every client of a server, of a CURVE server by
	// address before a key is touched. It must not wait longer than a handshake may take. nil admits everybody.
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
}

// AuthRequest is what a connection shows for itself, as a ZAP request (RFC 27) does.
type AuthRequest struct {
	Mechanism string     // "NULL", "PLAIN" or "CURVE"
	Addr      netip.Addr // zero for ipc and inproc
	RoutingID string     // what the peer calls itself; empty unless NULL: not known yet
	Username  string     // of PLAIN
	Password  string     // of PLAIN; never log it
}

// Authenticator decides who may connect. An error refuses; its text stays on this side. The user id stands
// on the peer and on each of its messages; with CURVE it is Authorise's that does. Calls come from several goroutines.
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
