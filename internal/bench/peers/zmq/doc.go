// Command zmq compares package zeromq with other implementations of ZeroMQ: libzmq from C, pebbe/zmq4 (libzmq
// from Go), pyzmq (libzmq from Python) and go-zeromq/zmq4 as it is published. All run on this machine, in the
// same minutes, in turns; the tables hold medians and the ratios of each round.
//
//	make bench-zmq                                       # installs libzmq3-dev and python3-zmq where missing
//	cd internal/bench/peers && go run ./zmq -quick
//	cd internal/bench/peers && go run ./zmq -only 'broker|echo 1000' -rounds 5
//
// # Ends
//
// Each end of a measurement is a process of its own, started with a role and options name=value:
//
//	send     type=router|dealer size frames ms [endpoint]   messages as fast as they go, for so long
//	receive  type=router|dealer [endpoint]                  counts them
//	echo                                                    a ROUTER that sends everything back
//	ask      endpoint size n                                a DEALER with one message under way
//	broker                                                  an XSUB and an XPUB with a proxy between them
//	pub, sub endpoint size ms window step                   libzmq only; window messages under way at most
//	load     endpoint dealers size window warm ms           bare ZMTP, the same for every echo server
//
// A ROUTER binds and prints "endpoint tcp://…"; a DEALER connects as "d" and says hi. An end prints "result"
// with figures, or "void" and why: every message bears a number, so one that is lost, repeated or out of
// order voids the figure. CPU is that of the whole process while it measures. Queues hold 10,000 messages.
package main
