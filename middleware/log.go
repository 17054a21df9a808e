package middleware

import (
	"context"
	"log/slog"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Log writes a line for each message when its work has ended: its type, who sent it, the outcome and how
// long it took. Nothing of its content is logged, and neither is its id, which clients choose. A message
// that was done is logged at level Info, one that was refused (*message.Error) at Warn, a failure at Error.
func Log(logger *slog.Logger) message.Middleware {
	return func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			begin := time.Now()
			return outcome(next.Handle(ctx, m), func(err error) {
				logOutcome(ctx, logger, m, time.Since(begin), err)
			})
		})
	}
}

func logOutcome(ctx context.Context, logger *slog.Logger, m *message.Message, took time.Duration, err error) {
	level, result := slog.LevelWarn, Outcome(err)
	switch result {
	case "done":
		level = slog.LevelInfo
	case "failed":
		level = slog.LevelError
	}
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("type", m.Type),
		slog.String("from", m.From.ID),
		slog.String("outcome", result),
		slog.Duration("took", took),
	}
	if result == "failed" {
		attrs = append(attrs, slog.Any("error", err))
	}
	logger.LogAttrs(ctx, level, "message", attrs...)
}
