package zeromq

// Origin is a peer as a message or an event shows it. It is shared and must not be modified.
type Origin struct {
	RoutingID string // what the peer calls itself, or what a ROUTER invented for it
	Addr      string // of its end of the connection; "ipc" and "inproc" have none
	Mechanism string // NULL, PLAIN or CURVE
	UserID    string // who the authenticator says it is
}

// know notes what a handshake has found out about the peer, though it may have failed.
func (o *Origin) know(peer ready) {
	o.RoutingID, o.Mechanism, o.UserID = peer.routingID, peer.mechanism, peer.userID
}

// MonitorEvent reports the life of a Socket's connections.
type MonitorEvent struct {
	Kind     EventKind
	Endpoint string  // as given to Dial, or as bound by Listen
	Origin   *Origin // of Refused and Unreachable only what is known
	Reason   error   // of all but PeerUp
}
