package curve

import (
	"context"
	"net"
)

// Request is what a server knows of a client when it decides.
type Request struct {
	ClientKey  PublicKey // proven
	RemoteAddr net.Addr
	Metadata   Metadata // what the client says of itself
}

// Authorise decides about a client and gives it a user id. It runs on the goroutine of the handshake, before
// the client is told that it is connected. See RefusedError for what a refused client is told.
type Authorise func(ctx context.Context, r Request) (userID string, err error)

// AnyKey admits everybody; the user id is the key in Z85.
func AnyKey(_ context.Context, r Request) (string, error) { return r.ClientKey.String(), nil }
