package zeromq

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// balancer gives each message to the next peer that has room: a full one is skipped, so it delays nobody.
type balancer struct {
	s *Socket

	mu    sync.Mutex
	pipes []*pipe
	at    int
}

func (b *balancer) add(p *pipe) {
	b.mu.Lock()
	b.pipes = append(b.pipes, p)
	b.mu.Unlock()
	b.s.room.ring()
}

func (b *balancer) remove(p *pipe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.pipes, p)
	if i < 0 {
		return
	}
	b.pipes = slices.Delete(b.pipes, i, i+1)
	if i < b.at {
		b.at--
	}
}

func (b *balancer) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pipes)
}

// try returns ErrFull when no peer takes the message now.
func (b *balancer) try(frames [][]byte) (*pipe, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.pipes {
		if b.at >= len(b.pipes) {
			b.at = 0
		}
		p := b.pipes[b.at]
		b.at++
		if b.s.opts.Immediate && p.link.Load() == nil {
			continue
		}
		err := p.out.push(frames)
		if err == nil {
			return p, nil
		}
		if errors.Is(err, ErrNoFrames) {
			return nil, err
		}
		b.s.stats.meet(err, 1)
	}
	return nil, ErrFull
}

// send waits until a peer takes the message.
func (b *balancer) send(ctx context.Context, frames [][]byte) (*pipe, error) {
	p, err := b.try(frames)
	if !errors.Is(err, ErrFull) {
		return p, err
	}
	waited := b.s.room.until(ctx, b.s.closing, func() bool {
		p, err = b.try(frames)
		return !errors.Is(err, ErrFull)
	})
	if waited != nil {
		return nil, waited
	}
	return p, err
}
