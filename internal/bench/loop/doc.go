// Loop measures the whole way of a message: DEALER → agent → Redis → agent → DEALER, with real processes,
// beside a plain pyzmq ROUTER that relays the same bytes between the same Go DEALERs.
//
//	go run ./internal/bench/loop [-rounds 3] [-messages 20000] [-size 64] [-pairs 1,8,64]
//
// Every cell of the tables is measured in processes started for it and ended after it; the systems take
// turns in every round, so that what else the machine does meets all of them. Every message is a
// DirectMessage with an id and the sender's session; it must be delivered once and in order, and be
// acknowledged in order, or the program fails: there is no figure for a run that lost something. The
// relay acknowledges nothing, stores nothing and checks nobody: it is the floor of what a hop costs, not
// a mesh.
//
// With -profile DIR it runs only the two-agent case, in agents that write CPU profiles into DIR.
package main
