package middleware

import (
	"context"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/observables"
)

// Lift makes middleware one operator of a stream: what it lets through goes on, what it stops, by an error
// or a panic, is reported as an *observables.ItemError and costs that message only. A middleware may pass on
// another message than it got, or none; stopped without an error, a message just ends here.
//
// It runs on the goroutine of the stream, in order. The handler inside ends when the message has been passed
// on, so it measures nothing that comes after the operator; and what a middleware returns later, by a
// *message.Pending of its own, is not waited for. ctx is what the middleware gets: that of the subscription.
func Lift(ctx context.Context, mw ...message.Middleware) observables.Op[*message.Message, *message.Message] {
	type passed struct {
		m  *message.Message
		ok bool
	}
	type slot struct{}
	handle := message.Chain(mw...)(message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		if p, ok := ctx.Value(slot{}).(*passed); ok {
			p.m, p.ok = m, true
		}
		return nil
	}))
	return func(s observables.Stream[*message.Message]) observables.Stream[*message.Message] {
		through := observables.MapErr(func(m *message.Message) (passed, error) {
			var p passed
			err := handle.Handle(context.WithValue(ctx, slot{}, &p), m)
			if _, goesOn := err.(*message.Pending); goesOn {
				err = nil
			}
			return p, err
		})
		return observables.Pipe3(s, through,
			observables.Filter(func(p passed) bool { return p.ok }),
			observables.Map(func(p passed) *message.Message { return p.m }))
	}
}
