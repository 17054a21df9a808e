package middleware

import (
	"context"
	"errors"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Tracer follows work across processes. It is called concurrently.
type Tracer interface {
	// Start begins the span of handling a message of a type, below the span of ctx if there is one. It returns
	// the context of the work and what ends the span: that is called once, with the outcome.
	Start(ctx context.Context, typ string) (context.Context, func(error))
}

var errPanicked = errors.New("middleware: the handler panicked")

// Tracing gives each message a span, which lasts until its work has ended and not only until the handler
// returns; nil means none, and costs nothing. A panic ends the span with an error and goes on.
func Tracing(tracer Tracer) message.Middleware {
	return func(next message.Handler) message.Handler {
		if tracer == nil {
			return next
		}
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			ctx, end := tracer.Start(ctx, m.Type)
			returned := false
			defer func() {
				if !returned { // the panic goes on, with its stack
					end(errPanicked)
				}
			}()
			err := next.Handle(ctx, m)
			returned = true
			return outcome(err, end)
		})
	}
}
