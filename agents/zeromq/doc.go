// Package zeromq holds the ZeroMQ sockets of the mesh: a ROUTER that survives the open network and a DEALER
// that reconnects for ever. The handshake, its metadata and the socket types are those of
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
// # Ordering and concurrency
//
// Messages of one peer are published in the order in which it sent them, PeerUp is published before the
// first and PeerDown after the last. Messages and Events are two streams, each with a buffer of its own. All
// methods of Router, Peer and Dealer are safe for concurrent use.
//
// # When something is slow
//
// Every queue is bounded. A subscriber that is slow holds the readers back; a peer whose messages are not
// released is not read beyond its window; TCP passes both on to the sender. A peer that does not read is
// closed when its outbound queue is full or a write makes no progress; nothing is thinned, and no peer
// waits for another.
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
// # Testing
//
// Bind tcp://127.0.0.1:0 and read Addrs after Listen.
package zeromq
