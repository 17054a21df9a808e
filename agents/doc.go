// Package agents composes an agent of the mesh: sockets in front, the broker behind, and in between the
// session check, handlers and delivery. It is the package that programs import.
//
//	agent, err := agents.New(agents.Config{Name: "lobby-1", ZeroMQ: []string{"tcp://127.0.0.1:5555"}})
//	agent.Handle("GameAction", func(ctx context.Context, m *message.Message) error {
//		return agent.Room(m.Game).Send(ctx, step(m))
//	})
//	agent.Messages().Subscribe(ctx, audit, nil, nil)
//	err = agent.Run(ctx)
//
// # The way of a message
//
//	socket → arrival → decode → session check → handler → history or job → Redis
//	socket ← client  ← router.Deliver ← inbox or broadcast job  ←──────────┘
//
// Each socket is an observable. Its messages are decoded on one goroutine, pass the session check, which
// looks sessions up without letting one client wait for another's, and reach the client they came from,
// which processes them in order. The three chat types are appended to a history and delivered from there;
// every other type becomes a job for the handlers registered with Handle, on whichever agent has them.
//
// # Order and concurrency
//
// The messages of one client are processed in the order in which they came; those of different clients do
// not wait for one another. What needs Redis is on its way by the hundred: a handler hands it on and the
// Ack follows when it is stored. Handlers registered with Handle run behind the broker, one at a time for
// each game (else addressee, else sender), at least once.
//
// # When it is slow
//
// A client may have Config.Window messages in work, then its socket is not read. A client that does not
// read what it is sent is closed when its queue is full. A user who sends faster than Config.Rate is told
// RateLimited, and loses the connection when he goes on. Sessions of clients that appear together are looked
// up together. Subscribers of Inbound and Messages miss the
// oldest items when they are slow, unless they ask for Block.
//
// # Ends
//
// When the ctx of Run ends the agent drains: it accepts nothing more, finishes and answers what is in
// work, tells its clients (Logout Drain, 1001), hands its jobs back, and leaves the directory.
//
// # Sockets of a program's own
//
// Bind and Connect open ZeroMQ sockets of any type, Client and NotificationClient speak the formats of
// Very Powerful Agents, Router and NotificationBroker serve them. They may be opened from a Module's Setup
// on and end with the agent. An agent that has nothing else needs no broker: see NoBroker.
//
// # Testing
//
// Without Config.Redis the broker runs inside the process; ports may be 0, Config.Ready tells the real ones.
package agents
