package websocket

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The close codes of the protocol. The comments say what the client should do.
const (
	Normal        = 1000
	GoingAway     = 1001 // the agent drains: reconnect with full jitter
	ProtocolError = 1002 // broken framing: fix, not retry
	Unsupported   = 1003 // a binary message that is not text: fix, not retry
	Abnormal      = 1006 // never sent: the connection was lost without a close frame
	InvalidUTF8   = 1007 // fix, not retry
	TooBig        = 1009 // fix, not retry

	SessionEnded = 4401 // session invalid, expired, revoked or mismatched: log in again, not retry
	Idle         = 4408 // idle, unanswered pings or never bound: reconnect
	Replaced     = 4409 // by a newer connection of the same user: not retry
	SlowConsumer = 4413 // its queue was full: reconnect with since
	RateLimited  = 4429 // repeatedly over a rate limit: back off
)

// SubprotocolV1 is the subprotocol that the bridge speaks and echoes when a client offers it.
const SubprotocolV1 = "agentmesh.v1"

var (
	// ErrClosed is returned when the connection is closed or about to be.
	ErrClosed = errors.New("websocket: connection closed")
	// ErrFull is returned by Send when the queue of the connection is full. The connection is then
	// closed with SlowConsumer.
	ErrFull = errors.New("websocket: outbound queue full")
	// ErrUnavailable may be wrapped by what Authenticate returns when it could not find out: the
	// client gets 503 and tries again later, where any other error tells it 401.
	ErrUnavailable = errors.New("websocket: authentication unavailable")
	// ErrRunning is returned by the second call of Run.
	ErrRunning = errors.New("websocket: bridge was run before")
)

// CloseError says how a connection ended.
type CloseError struct {
	Code   int    // Abnormal when the connection was lost
	Reason string // what the close frame said
	Remote bool   // the peer closed or vanished; false: this side closed
	Err    error  // the cause, where there is one beyond the code
}

// Error names the side, the code and the cause.
func (e *CloseError) Error() string {
	side := "locally"
	if e.Remote {
		side = "by the peer"
	}
	s := fmt.Sprintf("websocket: closed %s with %d", side, e.Code)
	if e.Reason != "" {
		s += " (" + strings.ToValidUTF8(e.Reason, "?") + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *CloseError) Unwrap() error { return e.Err }

// maxReason is what a close frame has left beside the code, RFC 6455 section 5.5.
const maxReason = 123

// cutReason shortens a reason to what a close frame can carry, at a character boundary.
func cutReason(s string) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= maxReason {
		return s
	}
	n := maxReason
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// sendable gives code, or Normal in place of one that must not stand in a close frame, RFC 6455
// section 7.4.
func sendable(code int) int {
	switch {
	case code == 1004, code == 1005, code == 1006, code == 1015, code < 1000, code > 4999:
		return Normal
	}
	return code
}
