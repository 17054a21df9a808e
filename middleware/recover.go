package middleware

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Panic is a panic of a handler as an error. It is not an error of the protocol, so a client sees Internal,
// and a job is tried again.
type Panic struct {
	Value any
	Stack []byte // where it happened
}

// Error gives the value without the stack.
func (p *Panic) Error() string { return fmt.Sprintf("middleware: the handler panicked: %v", p.Value) }

// Recover turns a panic of the handler into a *Panic, after report has been called with it: a panic costs
// the message it happened at and nothing else. It does not see what happens on other goroutines.
func Recover(report func(context.Context, *message.Message, *Panic)) message.Middleware {
	return func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) (err error) {
			defer func() {
				if value := recover(); value != nil {
					p := &Panic{Value: value, Stack: debug.Stack()}
					report(ctx, m, p)
					err = p
				}
			}()
			return next.Handle(ctx, m)
		})
	}
}
