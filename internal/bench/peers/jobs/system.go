package main

import (
	"context"
	"fmt"
)

// payloadSize is how large a job is, in bytes.
const payloadSize = 128

// A system is a broker under test, fresh, with a server of its own.
type system interface {
	// enqueue stores a job and returns when the server has confirmed it. A key asks for order per key; a
	// system without it ignores it.
	enqueue(ctx context.Context, key, payload string) error
	// work calls handle from so many goroutines until stop is called.
	work(concurrency int, handle func(payload string)) (stop func(), err error)
	// address makes a receiver, whose handle is called for what send sends it.
	address(handle func(payload string)) (send func(ctx context.Context, payload string) error, stop func(), err error)
	// server is the process that stores the jobs.
	server() *process
	close()
}

// A contender makes systems of one kind.
type contender struct {
	name string
	open func(always bool) (system, error) // always: every confirmed job has reached the disk
	acks bool                              // only where workers confirm what they have done
}

var contenders = []contender{
	{name: ownName, open: openOurs},
	{name: "asynq", open: openAsynq},
	{name: "JetStream", open: openJetStream},
	// Like ours, its workers know that the server has heard of the end of a job.
	{name: "JetStream, double ack", acks: true, open: func(always bool) (system, error) {
		s, err := openJetStream(always)
		if err == nil {
			s.(*jetStream).double = true
		}
		return s, err
	}},
}

// payload carries a number and a time through a system.
func payload(seq int, at int64) string {
	s := fmt.Sprintf("%010d %020d ", seq, at)
	for len(s) < payloadSize {
		s += "................................................................"[:min(64, payloadSize-len(s))]
	}
	return s
}

func parse(payload string) (seq int, at int64) {
	for _, c := range []byte(payload[:10]) {
		seq = seq*10 + int(c-'0')
	}
	for _, c := range []byte(payload[11:31]) {
		at = at*10 + int64(c-'0')
	}
	return seq, at
}
