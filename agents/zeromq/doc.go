// Package zeromq holds the ZeroMQ sockets of the mesh: a ROUTER that survives the open network, a DEALER that
// reconnects for ever, and sockets of all eleven types in place of zmq4's or libzmq's. The handshake, its metadata and the socket types are those of
// github.com/go-zeromq/zmq4, reached through a gate that checks every byte of a stranger first; accepting,
// framing, queues and the routing table are this package's own.
//
// # Usage
//
//	router, err := zeromq.NewRouter(zeromq.RouterConfig{Name: "lobby-1", Bind: []string{"tcp://127.0.0.1:5555"}})
//	router.Messages().Subscribe(ctx, func(m zeromq.Message) {
//		m.Peer.Send(m.Frames...) // an echo
//		m.Peer.Release(1)
//	}, nil, nil)
//	err = router.Run(ctx)
//
// What is fast: SubscribeBatch instead of Subscribe, with one Release for many messages of a peer, and
// Dealer.Receive with DealerConfig.Batches. What is sent is copied, up to 8 KB, so its memory may be used again.
//
// A Socket is any type behind zmq4's interface, with Listen and Dial as often as one likes:
//
//	req, err := zeromq.NewSocket(ctx, zmq4.Req, zeromq.Options{})
//	err = req.Dial("tcp://127.0.0.1:5555") // returns at once
//	err = req.Send(zmq4.NewMsgString("hello"))
//	answer, err := req.Recv()
//
// Router is for one agent and its many clients: it publishes streams, has a window for each peer and closes
// peers that do not read. A Socket behaves as libzmq's documentation says, options included; Options says
// where its defaults differ. RecvFrames tells who sent a message, Monitor who comes and goes.
//
// Two stand-alone roles need nothing but this package: Relay passes messages between DEALERs by name, Broker
// publications from PUBs to SUBs. Both are those of Very Powerful Agents.
//
// # Ordering and concurrency
//
// Messages of one peer are published in the order in which it sent them, PeerUp is published before the
// first and PeerDown after the last. Messages and Events are two streams, each with a buffer of its own. All
// methods of Router, Peer, Dealer and Socket are safe for concurrent use.
//
// # When something is slow
//
// Every queue is bounded. A subscriber that is slow holds the readers back; a peer whose messages are not
// released is not read beyond its window; TCP passes both on to the sender. A peer that does not read is
// closed when its outbound queue is full or a write makes no progress; nothing is thinned, and no peer
// waits for another.
//
// A Socket's policy is its type's. DEALER, REQ, PUSH and PAIR skip peers whose queue is full and wait when
// all are. PUB, XPUB, ROUTER and REP drop what is new for a full peer and count it. Nobody waits for one
// peer while another has room. What is received and not read fills that peer's lane, then TCP.
//
// A Relay and a Broker drop what is new for a client whose queue is full, and count it: as libzmq's ROUTER and
// XPUB do, and unlike a Router, whose user can tell the peer.
//
// # Security
//
// NULL, PLAIN and, through package curve, CURVE are spoken by every socket. An Authenticator refuses by address
// or password, CurveServer.Authorise by key, with the error "400" that libzmq takes for final. The user id
// that they return stands on every message and event: Message.Peer.UserID of a Router, Received.Origin.UserID
// of a Socket's RecvFrames; the Msg of zmq4, which Recv returns, has no place for it. They are asked once for
// each connection: a key or password that is taken away counts from the next one on, as with libzmq.
//
// # Strangers
//
// Greeting and READY are parsed here, bounded in size, time and number, before zmq4 sees clean copies of
// them. Limits are enforced from the frame header, before anything is allocated; long bodies grow only as
// their bytes arrive. A violation costs that connection only.
//
// # Closing
//
// Run ends with its context: listeners first, then queues are flushed for Linger, then connections close so
// that what was written last is not lost. StopAccepting and Peer.CloseAfterFlush are the same steps one at
// a time.
//
// Close of a Socket does the same: new calls fail, queues are flushed for Linger, connections close.
//
// # Testing
//
// Bind tcp://127.0.0.1:0 and read Addrs after Listen. Over inproc:// nothing leaves the process, so that
// sockets work in a synctest bubble.
package zeromq
