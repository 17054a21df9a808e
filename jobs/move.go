package jobs

import (
	"context"
	"errors"
	"fmt"
)

// Move takes the jobs that are ready in one queue and enqueues them in another, until none is left, and says
// how many. Jobs of a key keep their order; what is active, or put aside, stays. A job that the other queue
// refuses is given back. When Move itself is killed, jobs it held are handled in the first queue after a
// lease, and some of them maybe in the other one too. Run must be running.
func (b *Broker) Move(ctx context.Context, from, to string) (int, error) {
	if !validName(from) || !validName(to) || from == to {
		return 0, fmt.Errorf("jobs: move from queue %q to %q: want two different names of 1 to 64 letters, digits, - _ or dots", from, to)
	}
	total := 0
	for part := range b.cfg.Partitions {
		m := &mover{b: b, from: b.keys.queue(from, part), to: to, me: "move-" + b.cfg.Incarnation}
		for {
			n, err := m.batch(ctx)
			total += n
			if isNoGroup(err) { // nobody has worked on it
				err = createGroups(ctx, b, m.from)
				if err == nil {
					continue
				}
			}
			if err != nil {
				return total, fmt.Errorf("jobs: move from queue %s to %s: %w", from, to, err)
			}
			if n == 0 {
				break
			}
		}
	}
	return total, nil
}

type mover struct {
	b            *Broker
	from, to, me string
}

// batch moves some jobs: it takes them as a worker does, and ends those that the other queue has confirmed.
func (m *mover) batch(ctx context.Context) (moved int, err error) {
	list, err := m.b.redis.Eval(ctx, fetchScript, []string{m.from + ":meta"}, m.me, m.from, maxBatch, 0).Slice()
	if err != nil {
		return 0, err
	}
	got := entries(list[1:])
	type told struct {
		entry
		err error
	}
	outcomes := make(chan told, len(got))
	for _, e := range got {
		j, err := parseEnvelope(e.envelope)
		if err != nil {
			outcomes <- told{e, err}
			continue
		}
		j.Once = "id\x00" + j.ID
		m.b.Enqueue(m.to, j, func(_ Receipt, err error) { outcomes <- told{e, err} })
	}
	acks, backs := []any{m.me, m.from}, []any{m.me, m.from}
	var failed error
	for range got {
		select {
		case o := <-outcomes:
			if o.err == nil {
				acks = append(acks, o.ref, o.key)
				moved++
			} else {
				backs = append(backs, o.ref)
				failed = o.err
			}
		case <-ctx.Done():
			return moved, context.Cause(ctx)
		}
	}
	keys := []string{m.from + ":meta"}
	if moved > 0 {
		err = m.b.redis.Eval(ctx, ackScript, keys, acks...).Err()
	}
	if len(backs) > 2 {
		err = errors.Join(err, m.b.redis.Eval(ctx, handbackScript, keys, backs...).Err())
	}
	if moved == 0 && len(got) == 0 { // nothing is held: the membership ends
		err = errors.Join(err, m.b.redis.Eval(ctx, handbackScript, keys, m.me, m.from).Err())
	}
	return moved, errors.Join(err, failed)
}
