package zeromq

import (
	"errors"
	"sync/atomic"
)

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

// SocketStats are totals since the Socket was made.
type SocketStats struct {
	Connected uint64 // connections that became peers, accepted or dialled
	Refused   uint64 // connections that did not, by either end
	In        uint64 // messages read; of XPUB and PUB subscriptions too
	Out       uint64 // messages handed to the kernel
	// Full is how often a message met a peer whose queue was full (SendHWM, SendBytes). PUB, XPUB, XSUB, ROUTER
	// and REP dropped it for that peer, or returned ErrFull (RouterMandatory); the others passed it to another
	// peer, or waited and tried again.
	Full uint64
	// Dropped is how many messages were dropped for a peer, because its queue was full or, by a ROUTER or REP,
	// because nobody has the routing id any more.
	Dropped uint64
}

type socketCounters struct {
	connected, refused, in, out, full, dropped atomic.Uint64
}

// meet counts why a queue did not take some messages.
func (c *socketCounters) meet(err error, messages int) {
	if errors.Is(err, ErrFull) {
		c.full.Add(uint64(messages))
	}
}

// drop counts messages that are dropped, and why.
func (c *socketCounters) drop(err error, messages int) {
	c.meet(err, messages)
	c.dropped.Add(uint64(messages))
}

// Stats returns the totals. It is safe for concurrent use and cheap.
func (s *Socket) Stats() SocketStats {
	return SocketStats{
		Connected: s.stats.connected.Load(),
		Refused:   s.stats.refused.Load(),
		In:        s.stats.in.Load(),
		Out:       s.stats.out.Load(),
		Full:      s.stats.full.Load(),
		Dropped:   s.stats.dropped.Load(),
	}
}
