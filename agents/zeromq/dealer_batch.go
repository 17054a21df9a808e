package zeromq

import (
	"context"
	"errors"
	"sync"
)

// pile is what a Dealer with Batches has received and Receive has not taken.
type pile struct {
	max     int
	arrival chan struct{} // capacity 1
	room    chan struct{} // capacity 1

	mu       sync.Mutex
	messages [][][]byte
	held     bool // the reader waits for room
}

func newPile(limit int) *pile {
	return &pile{max: limit, arrival: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put appends a batch and waits while there is no room.
func (q *pile) put(ctx context.Context, batch []Message) error {
	for {
		if batch = batch[q.offer(batch):]; len(batch) == 0 {
			return nil
		}
		select {
		case <-q.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// offer appends what there is room for and returns how many that were.
func (q *pile) offer(batch []Message) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(q.max-len(q.messages), len(batch))
	for _, m := range batch[:n] {
		q.messages = append(q.messages, m.Frames)
	}
	q.held = n < len(batch)
	signal(q.arrival)
	return n
}

// take returns all that is there, in a slice that is not used again.
func (q *pile) take() [][][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.messages
	q.messages = nil
	if q.held {
		q.held = false
		signal(q.room)
	}
	return all
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Receive waits for messages and returns all that have come, in order: less to pay for each than with
// Messages, which DealerConfig.Batches turns off. When Run has ended, what is left comes first, then
// ErrClosed. One goroutine may call it.
func (d *Dealer) Receive(ctx context.Context) ([][][]byte, error) {
	if d.pile == nil {
		return nil, errors.New("zeromq: Receive without DealerConfig.Batches")
	}
	for {
		if all := d.pile.take(); len(all) > 0 {
			return all, nil
		}
		select {
		case <-d.pile.arrival:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-d.done:
			if all := d.pile.take(); len(all) > 0 {
				return all, nil
			}
			return nil, ErrClosed
		}
	}
}
