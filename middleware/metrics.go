package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Meter hears of every message whose work has ended: its type, how it ended (see Outcome) and how long that
// took. It is called concurrently and must not block.
type Meter interface {
	Handled(typ, outcome string, took time.Duration)
}

// Metrics tells meter of what passes; nil means nobody, and costs
// nothing. A panic is counted as failed and goes on. Types are what clients say: a meter
// that keeps something for each type must know which to expect.
func Metrics(meter Meter) message.Middleware {
	return func(next message.Handler) message.Handler {
		if meter == nil {
			return next
		}
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			begin, returned := time.Now(), false
			defer func() {
				if !returned { // the panic goes on
					meter.Handled(m.Type, Outcome(errPanicked), time.Since(begin))
				}
			}()
			err := next.Handle(ctx, m)
			returned = true
			if _, goesOn := err.(*message.Pending); !goesOn { // without a function on the heap
				meter.Handled(m.Type, Outcome(err), time.Since(begin))
				return err
			}
			return outcome(err, func(err error) { meter.Handled(m.Type, Outcome(err), time.Since(begin)) })
		})
	}
}

// Outcome names how work ended: done, the code of a *message.Error, or failed.
func Outcome(err error) string {
	if err == nil {
		return "done"
	}
	if refused, ok := errors.AsType[*message.Error](err); ok {
		return string(refused.Code)
	}
	return "failed"
}
