package router

import "sync/atomic"

// Stats counts what a router did since New.
type Stats struct {
	Published  uint64 // posts stored
	Duplicates uint64 // posts that were stored before
	Refused    uint64 // posts refused by a full lane
	Delivered  uint64 // messages taken by local connections
	Detached   uint64 // connections detached because they refused a message
	Strays     uint64 // deliveries for which nobody was attached any more
	Holes      uint64 // holes that did not fill by themselves
	Filled     uint64 // messages read from a history to fill holes
	GaveUp     uint64 // delivery jobs the carrier never took; their receivers read the history

	Feeds, Connections int // now
	Waiting            int // posts accepted and not done, now
}

type counters struct {
	published, duplicates, full, delivered, refused, strays, holes, filled, gaveUp atomic.Uint64
}

// Stats returns the counts.
func (r *Router) Stats() Stats {
	c := &r.stats
	s := Stats{
		Published: c.published.Load(), Duplicates: c.duplicates.Load(), Refused: c.full.Load(),
		Delivered: c.delivered.Load(), Detached: c.refused.Load(), Strays: c.strays.Load(),
		Holes: c.holes.Load(), Filled: c.filled.Load(), GaveUp: c.gaveUp.Load(),
	}
	for _, l := range r.lanes {
		s.Waiting += l.waiting()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Feeds, s.Connections = len(r.feeds), len(r.conns)
	return s
}
