package zeromq

import (
	"context"
	"slices"
	"sync"
)

// replier is REP: it keeps the envelope of a request, all frames up to and including the first empty one,
// and puts it before the answer. Messages without an envelope or without a body are ignored (RFC 28).
type replier struct {
	passive
	turn turn // of Recv

	mu       sync.Mutex
	owing    bool
	to       *pipe
	envelope [][]byte
}

func (r *replier) recv(ctx context.Context) (item, error) {
	if err := r.turn.take(ctx, r.s.closing); err != nil {
		return item{}, err
	}
	defer r.turn.give()
	r.mu.Lock()
	owing := r.owing
	r.mu.Unlock()
	if owing {
		return item{}, ErrState
	}
	for {
		it, err := r.passive.recv(ctx)
		if err != nil {
			return item{}, err
		}
		n := 1 + slices.IndexFunc(it.frames, func(f []byte) bool { return len(f) == 0 })
		if n == 0 || n == len(it.frames) {
			continue
		}
		r.mu.Lock()
		r.owing, r.to, r.envelope = true, it.pipe, it.frames[:n:n]
		r.mu.Unlock()
		it.frames = it.frames[n:]
		return it, nil
	}
}

// send never waits: an asker that has gone, or does not read, does not get its answer.
func (r *replier) send(_ context.Context, frames [][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.owing {
		return ErrState
	}
	if err := r.to.out.push(append(r.envelope, frames...)); err != nil {
		r.s.stats.drop(err, 1)
	}
	r.owing, r.to, r.envelope = false, nil, nil
	return nil
}
