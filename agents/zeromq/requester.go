package zeromq

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// requester is REQ: a request to one peer, then its answer, in strict alternation. An empty frame, with
// ReqRelaxed a request number before it, separates the envelope from the body (RFC 28).
type requester struct {
	*exchange
	turn turn // of Recv

	mu      sync.Mutex
	waiting bool
	asked   *pipe
	number  uint32
}

func (r *requester) send(ctx context.Context, frames [][]byte) error {
	relaxed := r.s.opts.ReqRelaxed
	r.mu.Lock()
	if r.waiting && !relaxed {
		r.mu.Unlock()
		return ErrState
	}
	// From here on another Send is out of turn, and answers to earlier requests are late.
	r.waiting, r.asked = true, nil
	if r.number == 0 {
		r.number = rand.Uint32() // a restart must not repeat numbers
	}
	r.number++
	number := r.number
	r.mu.Unlock()

	envelope := [][]byte{{}}
	if relaxed {
		envelope = [][]byte{binary.BigEndian.AppendUint32(nil, number), {}}
	}
	p, err := r.peers.send(ctx, append(envelope, frames...))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.number != number { // given up for a newer one
		return err
	}
	if r.asked = p; err != nil {
		r.waiting = false
	}
	return err
}

// recv waits for the answer; whatever else arrives is dropped.
func (r *requester) recv(ctx context.Context) (item, error) {
	if err := r.turn.take(ctx, r.s.closing); err != nil {
		return item{}, err
	}
	defer r.turn.give()
	for {
		r.mu.Lock()
		waiting := r.waiting
		r.mu.Unlock()
		if !waiting {
			return item{}, ErrState
		}
		it, err := r.exchange.recv(ctx)
		if err != nil {
			return item{}, err
		}
		if body, ok := r.answer(it); ok {
			it.frames = body
			return it, nil
		}
	}
}

func (r *requester) answer(it item) (body [][]byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	frames := it.frames
	if r.s.opts.ReqRelaxed {
		if !bytes.Equal(frames[0], binary.BigEndian.AppendUint32(nil, r.number)) {
			return nil, false
		}
		frames = frames[1:]
	} else if r.asked != nil && r.asked != it.pipe {
		return nil, false
	}
	if !r.waiting || len(frames) < 2 || len(frames[0]) > 0 {
		return nil, false
	}
	r.waiting = false
	return frames[1:], true
}

// leave lets any peer answer when the one that was asked has gone for good, as libzmq does.
func (r *requester) leave(p *pipe) {
	r.exchange.leave(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == p {
		r.asked = nil
	}
}
