package zeromq

import "sync/atomic"

// Stats are totals since the Router was made.
type Stats struct {
	Accepted  uint64 // connections that became peers
	Refused   uint64 // connections that did not
	In        uint64 // messages published, TooLarge ones included
	Out       uint64 // messages handed to the kernel
	TooLarge  uint64
	Overflows uint64 // peers closed because their queue was full
}

type counters struct {
	accepted, refused, in, out, tooLarge, overflows atomic.Uint64
}

// Stats returns the totals. It is safe for concurrent use and cheap.
func (r *Router) Stats() Stats {
	return Stats{
		Accepted:  r.stats.accepted.Load(),
		Refused:   r.stats.refused.Load(),
		In:        r.stats.in.Load(),
		Out:       r.stats.out.Load(),
		TooLarge:  r.stats.tooLarge.Load(),
		Overflows: r.stats.overflows.Load(),
	}
}
