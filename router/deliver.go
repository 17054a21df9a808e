package router

import (
	"context"
	"errors"

	"github.com/agentmesh/agentmesh/agents/message"
)

// The types of the messages that routers send one another through a Carrier.
const (
	DeliveryType = "mesh.deliver"  // To, Seq, Epoch and Payload are an entry of a history
	VolatileType = "mesh.volatile" // To and Payload are a message of no history
	joinedType   = "mesh.joined"   // From joined To
	leftType     = "mesh.left"     // From left To
)

// Types are the types of all messages that Deliver handles.
func Types() []string { return []string{DeliveryType, VolatileType, joinedType, leftType} }

const agentType = "Agent"

// Deliver handles what another router sent: it is the handler of the jobs of Types. A delivery may come
// twice, late and out of order. It keeps m.Payload, which must not be written to afterwards.
func (r *Router) Deliver(ctx context.Context, m *message.Message) error {
	switch m.Type {
	case DeliveryType:
		r.pass(historyAt(m.To), m.Seq, m.Epoch, m.Payload)
	case VolatileType:
		if m.From.ID != r.me {
			r.passVolatile(historyAt(m.To), m.Payload)
		}
	case joinedType, leftType:
		return r.heard(ctx, m)
	}
	return nil
}

func (r *Router) pass(h History, seq int64, epoch string, body []byte) {
	if f := r.feed(h); f != nil {
		f.deliver(seq, epoch, body)
		return
	}
	r.stats.strays.Add(1)
}

func (r *Router) passVolatile(h History, body []byte) {
	if f := r.feed(h); f != nil {
		f.volatile(body)
		return
	}
	r.stats.strays.Add(1)
}

// Reroute brings a delivery that was found in a dead agent's inbox to where the holders of its history are
// now, and returns when they have it. With none of them it is dropped: the history has it. What is not a
// delivery is dropped too.
func (r *Router) Reroute(ctx context.Context, m *message.Message) error {
	h := historyAt(m.To)
	if m.Type != DeliveryType || h.Kind == Global { // every agent has had its own copy of a global one
		return nil
	}
	a := reply(r.redis.Eval(ctx, r.scripts.holders, []string{r.key(h, ":at")}))
	holders := a.strings()
	if a.err != nil {
		return a.err
	}
	r.pass(h, m.Seq, m.Epoch, m.Payload)
	results := make(chan error, len(holders))
	sent := 0
	for _, holder := range holders {
		if holder == r.me || !r.config.Alive(holder) {
			continue
		}
		sent++
		r.config.Carrier.SendTo(holder, m, func(err error) { results <- err })
	}
	var first error
	for range sent {
		select {
		case err := <-results:
			if err != nil && !errors.Is(err, ErrNoAgent) && first == nil {
				first = err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return first
}
