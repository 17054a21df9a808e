// Package websocket is the bridge between browsers and an agent: a ROUTER whose peers are WebSocket
// connections. It knows connections and frames; what a message means is decided above it.
//
// # Usage
//
//	bridge, err := websocket.NewBridge(websocket.Config{Authenticate: sessions.Identify})
//	bridge.Events().Subscribe(ctx, upOrDown, nil, nil)
//	bridge.Messages().Subscribe(ctx, func(m websocket.Message) {
//		defer m.Conn.Release(1)
//		m.Conn.Send(answer(m.Body))
//	}, nil, nil)
//	mux.Handle("GET /ws", bridge)
//	server := websocket.NewServer(addr, mux)
//	go server.Serve(listener)
//	err = bridge.Run(ctx) // until ctx ends
//
// Subscribe before Run: the streams are hot.
//
// # Ordering and concurrency
//
// The messages of one connection are published in the order in which they came, one at a time. What is
// given to Conn.Send leaves in the order of the calls. Every method of Bridge and Conn is safe for
// concurrent use, and none of Conn's blocks. An Up event is published before the first message of its
// connection and the Down event after the last; but Events and Messages are two streams with a
// goroutine each, so a message handler may run before the handler of Up has finished.
//
// # When it is slow
//
// Inbound: a connection has at most Config.Window messages published and not yet released; then its
// socket is not read and TCP slows the peer down. A full subscriber blocks the readers in the same way.
// Nothing is dropped. Outbound: every connection has a bounded queue of its own. A peer that does not
// read fills it and is closed with SlowConsumer (4413); no other connection waits for it. What is
// queued when a connection's writer runs goes out in one system call, each message its own frame.
//
// # What is refused
//
// Foreign origins, sessions that Authenticate does not know, messages over the size limit, invalid
// UTF-8, messages cut into dust or sent drop by drop, floods of pings, silent peers, compression.
// Frames that a client sends before it has read the 101 answer end the handshake.
//
// # Close
//
// When the ctx of Run ends, all connections get what was queued for them and the code 1001, and Run
// returns when every goroutine has ended. Every other close sends its code too where the peer still
// reads, and waits about a second for the peer to answer.
//
// # Cost
//
// An idle connection is one goroutine blocked in a read, and a kilobyte of buffer. A goroutine that
// writes exists only while there is something to write. Keep-alive needs no timer but the read
// deadline.
//
// # Testing
//
// Serve a Bridge with httptest.NewServer and reach it with Dial.
package websocket
