package jobs

import (
	"context"
	"math/rand/v2"
)

// Where a queue has several partitions a limited concurrency is kept by permits: a job that is read needs one,
// keeps it as long as it is held, and gives it back when Redis has confirmed its end. One that finds none waits
// aside until another is given back. A permit outlives its job's lease, so who takes over from a dead worker
// finds the job's own one.

// storedLimits is how limits are kept.
type storedLimits struct {
	Limits         // of one partition
	Global bool    `json:"global,omitempty"` // concurrency is limited by permits, and not a partition's
	All    *Limits `json:"all,omitempty"`    // as they were set, with several partitions
}

// permits says whether jobs need them.
func (l *storedLimits) permits() bool {
	if l == nil || !l.Global {
		return false
	}
	if l.Queue.Concurrency > 0 {
		return true
	}
	for _, k := range l.Kinds {
		if k.Concurrency > 0 {
			return true
		}
	}
	return false
}

// member names a job among permits.
func (s *shard) member(ref string) string { return s.number + "/" + ref }

// acquire asks for permits, and gives for each job "" or the scope that is full. With force it takes them.
func (s *shard) acquire(ctx context.Context, l *storedLimits, refs, kinds []string, force bool) ([]string, error) {
	first := s.q.shards[0].tag
	args := make([]any, 0, 4+3*len(refs))
	args = append(args, first, 2*s.b.cfg.Lease.Milliseconds(), force, l.Queue.Concurrency)
	for i, ref := range refs {
		args = append(args, s.member(ref), kinds[i], l.Kinds[kinds[i]].Concurrency)
	}
	list, err := s.eval(ctx, permitScript, []string{first + ":p:*"}, args...)
	return texts(list), err
}

// insist takes permits for jobs that were taken over: they ran already.
func (s *shard) insist(ctx context.Context, got []entry) {
	l := s.limits()
	if !l.permits() || len(got) == 0 {
		return
	}
	refs, kinds := make([]string, len(got)), make([]string, len(got))
	for i := range got {
		refs[i] = got[i].ref
		if j, err := parseEnvelope(got[i].envelope); err == nil {
			kinds[i], got[i].permit = j.Message.Type, j.Message.Type
		}
	}
	if _, err := s.acquire(ctx, l, refs, kinds, true); err != nil {
		s.b.trouble(ctx, err) // their renewal takes them
	}
}

// prolong keeps the permits of what is held.
func (s *shard) prolong(ctx context.Context) error {
	l := s.limits()
	if !l.permits() {
		return nil
	}
	var refs, kinds []string
	s.mu.Lock()
	for ref, t := range s.held {
		if t.permit != "" {
			refs, kinds = append(refs, ref), append(kinds, t.permit)
		}
	}
	s.mu.Unlock()
	for len(refs) > 0 {
		n := min(maxBatch, len(refs))
		if _, err := s.acquire(ctx, l, refs[:n], kinds[:n], true); err != nil {
			return err
		}
		refs, kinds = refs[n:], kinds[n:]
	}
	return nil
}

// giveUp gives permits back and wakes who waits for them, in any partition. If Redis cannot be told they run out,
// and who waits looks again by itself.
func (s *shard) giveUp(ctx context.Context, refs, kinds []string) {
	if len(refs) == 0 {
		return
	}
	first := s.q.shards[0].tag
	back, scopes := []any{first}, map[string]struct{}{"*": {}}
	for i, ref := range refs {
		back = append(back, s.member(ref), kinds[i])
		scopes[kinds[i]] = struct{}{}
	}
	if _, err := s.b.redis.Eval(ctx, unpermitScript, []string{first + ":p:*"}, back...).Result(); err != nil {
		s.b.trouble(ctx, err)
		return
	}
	for scope := range scopes {
		s.wake(ctx, scope, len(refs))
	}
}

// wake lets n jobs try again that wait for a scope, in whatever partitions there are any.
func (s *shard) wake(ctx context.Context, scope string, n int) {
	begin := rand.N(len(s.q.shards))
	for i := range s.q.shards {
		other := s.q.shards[(begin+i)%len(s.q.shards)]
		woken, err := s.b.redis.Eval(ctx, wakeScript, []string{other.tag + ":meta"}, other.tag, n, scope).Int()
		if n -= woken; err != nil || n <= 0 {
			return
		}
	}
}

// returnPermits gives back what settled tasks had.
func (s *shard) returnPermits(ctx context.Context, tasks []*task) {
	var refs, kinds []string
	for _, t := range tasks {
		if t.permit != "" {
			refs, kinds = append(refs, t.ref), append(kinds, t.permit)
		}
	}
	s.giveUp(ctx, refs, kinds)
}

func (s *shard) limits() *storedLimits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings.limits
}
