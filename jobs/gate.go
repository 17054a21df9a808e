package jobs

import (
	"context"
	"sync/atomic"
	"time"
)

// A gate lets a suspect, a job that several workers died over, run alone in this worker, so that it takes
// no neighbour along. While it is closed nothing is read and nothing begins; what was read is given back.
type gate struct {
	taken atomic.Bool // a suspect is here, or asked for
	shut  atomic.Bool // nothing else may begin
}

// reserve says whether a suspect may be asked for. Who was told yes calls isolate or open.
func (g *gate) reserve() bool { return !g.taken.Swap(true) }

func (g *gate) shutDown() { g.shut.Store(true) }

func (g *gate) open() {
	g.shut.Store(false)
	g.taken.Store(false)
}

func (g *gate) closed() bool { return g.shut.Load() }

// isolate holds a suspect and runs it when nothing else does. Jobs that have run for a lease are not
// waited for any longer: then it is alone but for those.
func (s *shard) isolate(e entry, before map[string]struct{}) bool {
	w := s.q.w
	t := s.grab(e, before)
	if t == nil {
		w.gate.open()
		return false
	}
	w.gate.shutDown()
	s.b.cfg.Metrics.Count("isolated", s.q.name, 1)
	w.suspects.Go(func() {
		defer w.pokeAll()
		defer s.another.Store(true) // there may be more of them
		defer w.gate.open()
		limit := time.Now().Add(s.b.cfg.Lease)
		w.await(func() bool { return w.holding() <= 1 || time.Now().After(limit) || t.ctx.Err() != nil })
		if w.halted() || s.resting() {
			t.verdict = giveBack
			s.settle(t)
			return
		}
		ctx, cancel := context.WithTimeout(w.handlers, batchTimeout)
		mine, err := s.b.redis.Eval(ctx, riskScript, []string{s.tag + ":meta"}, w.me, s.tag, t.ref).Int()
		cancel()
		switch {
		case err != nil:
			t.verdict = giveBack
			s.settle(t)
			return
		case mine == 0:
			s.drop(t)
			return
		}
		s.q.perform(t)
		w.await(func() bool { return !s.holds(t) }) // until Redis has heard what became of it
	})
	return true
}

// await looks every few milliseconds whether something is so, until the worker stops.
func (w *Worker) await(so func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
	}
}

func (s *shard) holds(t *task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[t.ref] == t
}

// holding is how many jobs of queues this worker holds.
func (w *Worker) holding() (n int) {
	for _, q := range w.queues {
		for _, s := range q.shards {
			s.mu.Lock()
			n += len(s.held)
			s.mu.Unlock()
		}
	}
	return n
}

// pokeAll makes the readers look whether there is room.
func (w *Worker) pokeAll() {
	for _, q := range w.queues {
		for _, s := range q.shards {
			poke(s.freed)
		}
	}
}
