package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// load is what one run sends.
type load struct {
	messages int // of each pair
	window   int // of each pair: sent, and not yet both delivered and acknowledged
	rate     int // messages per second of each pair; 0 means as fast as the window allows
}

// flow is what one run took.
type flow struct {
	took      time.Duration
	latencies []time.Duration // from sending to the recipient
	acks      []time.Duration // from sending to the sender's Ack; none from a relay
}

// patience is how long a run may take beyond what its rate needs; then something is lost.
const patience = time.Minute

// warm sends some messages that are not measured.
func (g *group) warm(ctx context.Context) error {
	_, err := g.flow(ctx, load{messages: max(20, 2000/len(g.pairs)), window: 16})
	return err
}

// flow sends a load on all pairs at once and checks that everything arrives, once and in order.
func (g *group) flow(ctx context.Context, l load) (flow, error) {
	limit := patience
	if l.rate > 0 {
		limit += time.Duration(l.messages) * time.Second / time.Duration(l.rate)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	runs := make([]*trip, len(g.pairs))
	for i, p := range g.pairs {
		runs[i] = newTrip(p, l)
	}
	var all sync.WaitGroup
	var failed sync.Once
	var first error
	run := func(task func(context.Context) error) {
		all.Go(func() {
			if err := task(ctx); err != nil {
				failed.Do(func() { first = err; cancel() })
			}
		})
	}
	begin := time.Now()
	for _, t := range runs {
		run(t.send)
		run(t.receive)
		if !t.pair.relay {
			run(t.confirm)
		}
	}
	all.Wait()
	if first != nil {
		return flow{}, first
	}
	f := flow{took: time.Since(begin)}
	for _, t := range runs {
		t.pair.next += l.messages
		f.latencies = append(f.latencies, t.delivery...)
		f.acks = append(f.acks, t.ack...)
	}
	return f, nil
}

// trip is one run of one pair.
type trip struct {
	pair      *pair
	load      load
	first     int
	born      time.Time
	sent      []atomic.Int64 // since born, in ns; only the network orders its writing before its reading
	delivered chan struct{}  // a token for each message that may still be sent before one is delivered
	acked     chan struct{}  // the same for Acks
	delivery  []time.Duration
	ack       []time.Duration
}

func newTrip(p *pair, l load) *trip {
	return &trip{
		pair: p, load: l, first: p.next, born: time.Now(), sent: make([]atomic.Int64, l.messages),
		delivered: make(chan struct{}, l.window), acked: make(chan struct{}, l.window),
		delivery: make([]time.Duration, 0, l.messages),
	}
}

func (t *trip) send(ctx context.Context) error {
	begin := time.Now()
	for i := range t.load.messages {
		if t.load.rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(t.load.rate))))
		}
		for _, room := range []chan struct{}{t.delivered, t.acked} {
			if room == t.acked && t.pair.relay {
				continue
			}
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return fmt.Errorf("%s waits at message %d of %d: %w", t.pair.from.name, i, t.load.messages, context.Cause(ctx))
			}
		}
		frames := t.pair.message(t.first + i)
		t.sent[i].Store(int64(time.Since(t.born)))
		if err := t.pair.from.d.Send(ctx, frames...); err != nil {
			return fmt.Errorf("%s: %w", t.pair.from.name, err)
		}
	}
	return nil
}

func (t *trip) receive(ctx context.Context) (err error) {
	t.delivery, err = t.collect(ctx, t.pair.to, received, t.delivered)
	return err
}

func (t *trip) confirm(ctx context.Context) (err error) {
	t.ack, err = t.collect(ctx, t.pair.from, acknowledged, t.acked)
	return err
}

// collect reads what a client gets until it has one for each message, in order.
func (t *trip) collect(ctx context.Context, c *client, read func([][]byte) (int, error), room chan struct{}) ([]time.Duration, error) {
	took := make([]time.Duration, 0, t.load.messages)
	for i := range t.load.messages {
		select {
		case frames := <-c.d.Messages():
			now := time.Since(t.born)
			n, err := read(frames)
			if err != nil {
				return nil, fmt.Errorf("%s at message %d: %w", c.name, i, err)
			}
			if n != t.first+i {
				return nil, fmt.Errorf("%s got message %d, want %d: lost, repeated or out of order", c.name, n, t.first+i)
			}
			<-room
			took = append(took, now-time.Duration(t.sent[i].Load()))
		case <-ctx.Done():
			return nil, fmt.Errorf("%s misses message %d of %d: %w", c.name, i, t.load.messages, context.Cause(ctx))
		}
	}
	return took, nil
}
