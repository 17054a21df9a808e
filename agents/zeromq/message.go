package zeromq

// Message is one message of a peer. Its frames belong to the receiver; they share memory with no buffer
// of the socket, but small ones may share an allocation with their neighbours.
type Message struct {
	Peer     *Peer
	Frames   [][]byte
	TooLarge bool // it was over MaxMessage: its bytes have been skipped, Frames is nil, the peer lives
}

// EventKind says what happened to a connection.
type EventKind uint8

// The kinds of Event.
const (
	PeerUp EventKind = iota + 1
	PeerDown
	Refused     // before it became a peer; of a Socket that dialled also: the other end refused, or its handshake failed
	Unreachable // a Socket dialled in vain; it tries again
)

func (k EventKind) String() string {
	switch k {
	case PeerUp:
		return "PeerUp"
	case PeerDown:
		return "PeerDown"
	case Refused:
		return "Refused"
	case Unreachable:
		return "Unreachable"
	}
	return "EventKind(?)"
}

// Event reports the life of connections. PeerUp is published before the first message of the peer,
// PeerDown after its last.
type Event struct {
	Kind   EventKind
	Peer   *Peer   // nil when Refused
	Addr   string  // remote address
	Origin *Origin // who it is; of one that was refused, what is known
	Reason error   // of PeerDown and Refused
}
