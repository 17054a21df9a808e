package zeromq

import "errors"

// What a caller of Send or Recv may branch on.
var (
	// ErrTimeout: SendTimeout or RecvTimeout has passed.
	ErrTimeout = errors.New("zeromq: timed out")
	// ErrState: a REQ sends and receives in turn, a REP receives and sends.
	ErrState = errors.New("zeromq: not the socket's turn to do that")
	// ErrUnsupported: the type of the socket does not do that.
	ErrUnsupported = errors.New("zeromq: not supported by this type of socket")
	// ErrUnroutable: no peer with this routing id is connected.
	ErrUnroutable = errors.New("zeromq: no such peer")
	// ErrFull: the peer's outbound queue is full; the peer has been closed.
	ErrFull = errors.New("zeromq: outbound queue full")
	// ErrClosed: the peer or socket is closed or closing.
	ErrClosed = errors.New("zeromq: closed")
	// ErrNoFrames: a message has at least one frame.
	ErrNoFrames = errors.New("zeromq: message without frames")
)

// Why a connection was refused or closed; the Reason of an Event wraps one of these or a network error.
var (
	// ErrHandshake: the greeting or the READY command was malformed, incompatible or late.
	ErrHandshake = errors.New("zeromq: bad handshake")
	// ErrProtocol: a malformed frame or command after the handshake.
	ErrProtocol = errors.New("zeromq: protocol violation")
	// ErrLimit: a frame, message or number of parts beyond the configured limit.
	ErrLimit = errors.New("zeromq: limit exceeded")
	// ErrRoutingID: the routing id belongs to a live peer or to the agent itself.
	ErrRoutingID = errors.New("zeromq: routing id taken")
	// ErrReplaced: the peer did not answer a PING while a newcomer asked for its routing id.
	ErrReplaced = errors.New("zeromq: replaced by a newer connection")
	// ErrSilent: the peer did not answer heartbeats.
	ErrSilent = errors.New("zeromq: peer is silent")
	// ErrUnauthorized: an authenticator refused; the one refused is told "400", as ZAP (RFC 27) has it.
	ErrUnauthorized = errors.New("zeromq: not authorized")
	// ErrBusy: too many connections, handshakes or connects per second.
	ErrBusy = errors.New("zeromq: too many connections")
)
