package message

import "time"

// Address names a party of the mesh: a user or a chat room.
type Address struct {
	Type string // User or ChatRoom
	ID   string // 1-128 bytes, no control characters
}

// The address types of the protocol.
const (
	User     = "User"
	ChatRoom = "ChatRoom"
)

// Message is one envelope, or one job made from it. It is immutable once it has been published to an
// observable, handed to a handler or enqueued: copy it to change it (a plain struct copy is enough,
// the byte slices are never written to).
//
// The session that a client sends along is not a field of Message. Decode splits it off, so nothing
// that sees a Message (observers, handlers, jobs, logs, other clients) can leak it.
type Message struct {
	Type    string
	ID      string  // the client's idempotency key and reference; may be empty
	From    Address // who speaks; zero when a bound connection left it out
	To      Address // zero when the type has none
	Text    string  // the field `message`
	Game    string
	Payload []byte // any JSON value, byte for byte as it was sent; in a mesh-internal job any bytes

	Since       Position // where a client's history stands, of Login and JoinRoom
	SinceGlobal Position // the same for the global history, of Login

	// Conn names the connection that the message came over, in the agent that took it: for limits and logs.
	// It does not travel: jobs and what clients receive have none.
	Conn string

	Time  time.Time // when the agent accepted it, UTC, milliseconds
	Seq   int64     // position in its history; 0 means none
	Epoch string    // the life of the history that Seq counts in

	// Extra holds the unknown top-level members of the envelope as JSON text, without braces:
	// `"color":"red","n":1e400`. They are carried through unchanged.
	Extra []byte
}

// Position is a place in a history, as a client remembers it.
type Position struct {
	Known bool   // false: the client gave none and wants live messages only
	Seq   int64  // everything up to and including Seq has been seen
	Epoch string // the life of the history that Seq counts in; may be empty
}
