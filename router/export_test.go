package router

// Abandon makes Run end as if the process had crashed: nothing is taken out of Redis.
func (r *Router) Abandon() { r.abandon = true }

// Sequencer opens the state machine of a feed to tests.
type Sequencer struct{ s sequencer }

func NewSequencer(limit int, seq int64, epoch string) *Sequencer {
	s := &Sequencer{newSequencer(limit)}
	s.s.open(seq, epoch)
	return s
}

func (s *Sequencer) Accept(seq int64, epoch string, body []byte) (readHistory bool) {
	return s.s.accept(seq, epoch, body) == history
}
func (s *Sequencer) Fill(seq int64, body []byte) { s.s.fill(seq, body) }
func (s *Sequencer) Skip(seq int64)              { s.s.skip(seq) }
func (s *Sequencer) Last() int64                 { return s.s.last }
func (s *Sequencer) Early() int                  { return len(s.s.early) }

// Ready takes what came through.
func (s *Sequencer) Ready() (seqs []int64, bodies []string) {
	for _, e := range s.s.ready {
		seqs, bodies = append(seqs, e.seq), append(bodies, string(e.body))
	}
	s.s.ready = nil
	return seqs, bodies
}

// Plan opens the rules of a replay to tests.
func Plan(s Standing, resume Resume, floor int64, kind Kind) (int64, bool) {
	return plan(s, resume, floor, kind)
}
