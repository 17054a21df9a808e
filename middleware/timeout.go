package middleware

import (
	"context"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Timeout ends the handler's context after d, work that goes on after Handle included. The handler must
// heed its context: it is not left behind, because the next message of the same sender would then be
// handled beside it. What it returns is handed on as it is.
func Timeout(d time.Duration) message.Middleware {
	return func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			ctx, cancel := context.WithTimeout(ctx, d)
			goesOn := false
			defer func() { // also after a panic
				if !goesOn {
					cancel()
				}
			}()
			err := next.Handle(ctx, m)
			_, goesOn = err.(*message.Pending)
			if !goesOn {
				return err
			}
			return outcome(err, func(error) { cancel() })
		})
	}
}
