package zeromq

import "github.com/go-zeromq/zmq4"

// SocketType is zmq4's, for programs that do not import it.
type SocketType = zmq4.SocketType

// The types of a Socket, as ZeroMQ spells them.
const (
	PAIR   = zmq4.Pair
	PUB    = zmq4.Pub
	SUB    = zmq4.Sub
	XPUB   = zmq4.XPub
	XSUB   = zmq4.XSub
	REQ    = zmq4.Req
	REP    = zmq4.Rep
	DEALER = zmq4.Dealer
	ROUTER = zmq4.Router
	PUSH   = zmq4.Push
	PULL   = zmq4.Pull
)
