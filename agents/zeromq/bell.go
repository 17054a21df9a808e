package zeromq

import (
	"context"
	"sync/atomic"
)

// bell wakes goroutines that wait for a condition which others make true and then ring.
type bell struct {
	waiting atomic.Int32
	token   chan struct{} // capacity 1
}

func newBell() bell { return bell{token: make(chan struct{}, 1)} }

// ring lets one of those who wait try again. It costs an atomic load when nobody does.
func (b *bell) ring() {
	if b.waiting.Load() == 0 {
		return
	}
	select {
	case b.token <- struct{}{}:
	default:
	}
}

// until waits for try to report true. No ring is missed: who waits has tried after being counted. One who
// succeeds passes the token on, since what woke him may be enough for another.
func (b *bell) until(ctx context.Context, closing <-chan struct{}, try func() bool) error {
	b.waiting.Add(1)
	for !try() {
		select {
		case <-b.token:
		case <-closing:
			b.waiting.Add(-1)
			return ErrClosed
		case <-ctx.Done():
			b.waiting.Add(-1)
			b.ring() // the token may have been meant for this one
			return context.Cause(ctx)
		}
	}
	b.waiting.Add(-1)
	b.ring()
	return nil
}
