package middleware

import (
	"context"
	"crypto/rand"
	"log/slog"

	"github.com/agentmesh/agentmesh/agents/message"
)

type traceKey struct{}

// WithTrace gives a context a trace id: what names all that is done for one cause.
func WithTrace(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, traceKey{}, id)
}

// Trace is the trace id of a context; empty if it has none.
func Trace(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// Correlate sees to it that the handler's context has a trace id: the one it has, else what from gives, for
// a job its id, else a random one. from may be nil. Do not take it from what clients say: it is logged.
func Correlate(from func(context.Context, *message.Message) string) message.Middleware {
	return func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			if Trace(ctx) != "" {
				return next.Handle(ctx, m)
			}
			var id string
			if from != nil {
				id = from(ctx, m)
			}
			if id == "" {
				id = rand.Text()
			}
			return next.Handle(WithTrace(ctx, id), m)
		})
	}
}

// TraceLogs has h write the trace id of the context with each record, as the attribute trace:
//
//	logger := slog.New(middleware.TraceLogs(slog.NewJSONHandler(os.Stderr, nil)))
//	logger.InfoContext(ctx, "moved")
func TraceLogs(h slog.Handler) slog.Handler { return traceLogs{h} }

type traceLogs struct{ slog.Handler }

func (h traceLogs) Handle(ctx context.Context, r slog.Record) error {
	if id := Trace(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("trace", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traceLogs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceLogs{h.Handler.WithAttrs(attrs)}
}
func (h traceLogs) WithGroup(name string) slog.Handler { return traceLogs{h.Handler.WithGroup(name)} }
