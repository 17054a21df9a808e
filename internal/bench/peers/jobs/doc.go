// Command jobs compares package jobs with other brokers: asynq on the same kind of Redis, NATS JetStream
// with file storage, and what redis-benchmark says Redis can take. All run on this machine, in the same
// minutes, in turns; the table holds medians and the ratios of each round.
//
//	cd internal/bench/peers && go run ./jobs
//
// A run in which a job is lost, or handled twice, or refused, is void and says so. Servers are processes of
// their own, so that their CPU is told from that of the callers and workers, which share one process.
package main
