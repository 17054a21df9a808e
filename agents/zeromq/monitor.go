package zeromq

// Origin is a peer as a message or an event shows it. It is shared and must not be modified.
type Origin struct {
	RoutingID string // what the peer calls itself, or what a ROUTER invented for it
	Addr      string // of its end of the connection; "ipc" and "inproc" have none
	Mechanism string // NULL, PLAIN or the name that Security.Wrap gave
	UserID    string // who the authenticator says it is
}

// know notes what the security of a connection says about the peer. When its handshake has failed, secured
// is empty.
func (o *Origin) know(s *Security, secured Secured) {
	o.Mechanism, o.UserID = secured.Mechanism, secured.UserID
	if s.curve() {
		o.Mechanism = mechanismCurve
	}
}

// MonitorEvent reports the life of a Socket's connections.
type MonitorEvent struct {
	Kind     EventKind
	Endpoint string  // as given to Dial, or as bound by Listen
	Origin   *Origin // of Refused and Unreachable only what is known
	Reason   error   // of all but PeerUp
}
