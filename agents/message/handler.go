package message

import "context"

// Handler reacts to one message. The same type serves both sides of Redis: what a client sent, and the
// jobs that agents take. So every Middleware works on both.
//
// Handle is called concurrently for different keys and one at a time, in order, for one key (a client
// on the inbound side; the order key of a job). It must not modify m.
//
// A nil error means done: the client gets an Ack, the job is acknowledged. An *Error is shown to the
// client as it is; any other error is reported and shown as Internal. A handler that has started work
// which finishes later returns a *Pending.
type Handler interface {
	Handle(ctx context.Context, m *Message) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, m *Message) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, m *Message) error { return f(ctx, m) }

// Middleware wraps a Handler in another. It passes a *Pending through untouched unless it waits for it
// with Settle.
type Middleware func(Handler) Handler

// Chain makes one Middleware of several; the first is the outermost.
func Chain(mw ...Middleware) Middleware {
	return func(h Handler) Handler {
		for i := len(mw) - 1; i >= 0; i-- {
			h = mw[i](h)
		}
		return h
	}
}
