package curve

import (
	"errors"
	"fmt"
)

var (
	// ErrHandshake is wrapped by every failed handshake that is the peer's doing.
	ErrHandshake = errors.New("curve: handshake failed")
	// ErrProtocol is wrapped by what ends a connection after its handshake: a box that does not open, a nonce
	// that is not above the last, a frame beyond a limit.
	ErrProtocol = errors.New("curve: protocol violation")
	// ErrExhausted is returned when the nonces of a connection are used up. It must be closed.
	ErrExhausted = errors.New("curve: nonces exhausted")
	// ErrFormat is wrapped by what cannot be parsed: a key, Z85 text, metadata, a certificate.
	ErrFormat = errors.New("curve: malformed")
)

// RefusedError is a server's word that it does not want this client. Handshake of a client returns it, and an
// Authorise function may, to choose the code; any other error of Authorise is told to the client as "400".
type RefusedError struct {
	// Code is three digits as in RFC 27: "400" means not authorised, "500" an internal error. libzmq never
	// tries again after either. "300" means a temporary failure: the server closes the connection without a
	// word, and the client tries again.
	Code string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("curve: refused with code %q", e.Code) }

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrHandshake, fmt.Errorf(format, args...))
}
