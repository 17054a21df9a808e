package router

import (
	"hash/maphash"
	"slices"
)

// emission is one message on its way to the local connections of a feed, in order.
type emission struct {
	seq   int64 // 0: volatile, in no history
	epoch string
	life  uint64 // counts the epochs that the feed has seen: they cannot be ordered by themselves
	body  []byte // as stored
	subs  []*sub // who was attached when it was this message's turn
}

type early struct {
	epoch string
	body  []byte
}

// memory is how many of the last messages a sequencer can tell from others of the same seq.
const memory = 128

// sequencer lets each seq of a history through once, ascending. It is a pure state machine; its feed locks
// it, asks Redis for what is missing, and sends what is ready.
type sequencer struct {
	epoch string // "" until the feed is open
	life  uint64
	start int64 // where this life began for the feed
	last  int64 // all up to here is through
	early map[int64]early
	limit int // of early
	seed  maphash.Seed
	seen  [memory]uint64 // hashes of the last messages, by seq modulo memory
	ready []emission
}

func newSequencer(limit int) sequencer {
	return sequencer{limit: limit, early: map[int64]early{}, seed: maphash.MakeSeed()}
}

// wants is what a sequencer needs after it was given something.
type wants uint8

const (
	nothing wants = iota
	time4it       // there is a hole; it may fill by itself
	history       // the history must be read
)

// open begins a life of the history after seq. Early messages of that life wait on.
func (s *sequencer) open(seq int64, epoch string) {
	s.life++
	s.epoch, s.start, s.last = epoch, seq, seq
	s.seen = [memory]uint64{}
	s.forget(seq)
	s.drain()
}

// follow goes on in an epoch that agrees with this one up to seq. When nothing that went through is behind
// that, only the name changes: it is the same life for the connections.
func (s *sequencer) follow(seq int64, epoch string) {
	if seq < s.last {
		s.open(seq, epoch)
		return
	}
	s.epoch = epoch
	s.forget(s.last)
	s.drain()
}

// forget drops what is early in other epochs, or not early any more.
func (s *sequencer) forget(seq int64) {
	for n, e := range s.early {
		if e.epoch != s.epoch || n <= seq {
			delete(s.early, n)
		}
	}
}

// accept takes one delivery.
func (s *sequencer) accept(seq int64, epoch string, body []byte) wants {
	switch {
	case epoch == s.epoch && seq <= s.last:
		if seq > s.last-memory && s.seen[seq%memory] == s.hash(body) {
			return nothing
		}
		if seq <= s.start {
			return nothing
		}
		return history // another message under a number that was used: ask whether Redis lost its last ones
	case epoch == s.epoch && seq == s.last+1:
		s.emit(seq, body)
		s.drain()
	case len(s.early) >= s.limit:
		return history
	default:
		s.early[seq] = early{epoch, body}
		if epoch != s.epoch {
			return history
		}
	}
	if len(s.early) > 0 {
		return time4it
	}
	return nothing
}

// fill takes one entry read from the history in this epoch. Entries come ascending: what lies between the
// last one and this is no longer kept.
func (s *sequencer) fill(seq int64, body []byte) {
	if seq <= s.last {
		return
	}
	s.skip(seq - 1)
	if seq <= s.last {
		return // it was early, and is through by now
	}
	s.emit(seq, body)
	s.drain()
}

// skip gives up what is missing up to seq, and lets through what is not.
func (s *sequencer) skip(seq int64) {
	if seq <= s.last {
		return
	}
	var have []int64
	for n, e := range s.early {
		if n > s.last && n <= seq && e.epoch == s.epoch {
			have = append(have, n)
		}
	}
	slices.Sort(have)
	for _, n := range have {
		body := s.early[n].body
		delete(s.early, n)
		s.emit(n, body)
	}
	s.last = seq
	s.drain()
}

// first is the lowest early seq of an epoch, 0 for none.
func (s *sequencer) first(epoch string) int64 {
	var low int64
	for n, e := range s.early {
		if e.epoch == epoch && (low == 0 || n < low) {
			low = n
		}
	}
	return low
}

func (s *sequencer) drain() {
	for len(s.early) > 0 {
		e, ok := s.early[s.last+1]
		if !ok {
			break
		}
		delete(s.early, s.last+1)
		if e.epoch != s.epoch {
			continue
		}
		s.emit(s.last+1, e.body)
	}
}

func (s *sequencer) emit(seq int64, body []byte) {
	s.last = seq
	if e, ok := s.early[seq]; ok && e.epoch == s.epoch {
		delete(s.early, seq)
	}
	s.seen[seq%memory] = s.hash(body)
	s.ready = append(s.ready, emission{seq: seq, epoch: s.epoch, life: s.life, body: body})
}

// common is the last of the entries up to which they are what went through, 0 when they never are.
func (s *sequencer) common(entries []entry) int64 {
	var upto int64
	for _, e := range entries {
		known := e.seq > s.start && e.seq <= s.last && e.seq > s.last-memory
		switch {
		case known && s.seen[e.seq%memory] == s.hash(e.body):
			upto = e.seq
		case known || upto > 0:
			return upto
		}
	}
	return upto
}

func (s *sequencer) hash(body []byte) uint64 { return maphash.Bytes(s.seed, body) }
