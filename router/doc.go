// Package router knows who is where: which agents hold connections of a user, who is a member of which
// room, and where every history stands. It stores chat messages and brings them to the connections of
// this agent.
//
// # Publishing
//
// The history is the commit point. Publish appends a post to its history with one script in the slot of
// the destination: the script checks the mark of the sender, checks membership, assigns the sequence
// number, appends, trims, and returns the agents that hold interested connections. One delivery job then
// goes to each of them, and only when all are accepted is the publisher told. If it crashes in between,
// nobody was told; the client sends again, the mark yields the first sequence number, and the jobs are sent
// again.
//
// # Ordering
//
// Posts of one history are stored in the order of Publish. A feed brings them to local connections each
// once and ascending, in whatever order the jobs arrive: what it has is dropped, what is early waits, what
// is missing is read from the history.
//
// # Epochs
//
// A history begins a new epoch when it is written or attached to by another process of Redis than the last
// time: after a restart or a failover its last numbers may be lost, and are then given out again. The scripts
// ask the process themselves, so no agent can be behind. Feeds are told up to which number the epochs agree
// and go on from there; connections get nothing twice. The cost: a client that comes back with an epoch from
// before the restart is told of a gap and gets all that is kept, also when nothing was lost; and a Redis user
// with an ACL needs +info, without it only a loss that a live feed sees is noticed.
//
// # Concurrency and slowness
//
// All methods are safe for concurrent use. Publish never waits for Redis: it queues in a bounded lane
// (policy: refuse). Conn.Send must not block; a connection that refuses a message is detached. A replay
// waits for the backlog of its connection to shrink.
//
// # Closing
//
// When the context of Run ends, what was accepted is finished within Config.Drain, then the agent's entries
// are removed from Redis. A post that is still unknown then ends in ErrUnknown.
//
// # Keys
//
// Every script touches keys of one hash tag: {m:u:<user>}, {m:r:<room>}, {m:g}, {m:a:<incarnation>}. In a
// tag, % and } are written %25 and %7D.
//
//	{…}:h        hash    seq and epoch of the history, the process of Redis that wrote it last (run), and up to
//	                     which seq the lives before agree with this one (was)
//	{…}:l        stream  its entries, <seq>-0: t (ms) and b (body)
//	{…}:o:<mark> string  "<seq> <epoch>" of what the mark was used for; expires
//	{…}:at       hash    incarnation → "<lease expiry in ms> <generation>"
//	{…}:mem      hash    member of the room → seq at his first join
//	{…}:rooms    hash    room of the user → token of the write; an index, the room is the truth
//	{…}:held     set     what an incarnation is registered at, for whoever cleans up after it
//	{m:n:<0-15>} hash    name → incarnation that claims it, see Names; with :l zset incarnation → when its
//	                     claims run out (ms), and :of:<incarnation> set of its names
//
// # Testing
//
// Two Routers on one Redis and a Carrier that calls Deliver of the other make a mesh in one process.
package router
