package middleware_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
)

func TestCorrelate(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(middleware.TraceLogs(slog.NewTextHandler(&out, nil))).With("agent", "a")
	fromGame := func(_ context.Context, m *message.Message) string { return m.Game }
	for name, c := range map[string]struct {
		ctx  context.Context //nolint:containedctx // a table
		from func(context.Context, *message.Message) string
		game string
		want string
	}{
		"of the context": {middleware.WithTrace(t.Context(), "outer"), fromGame, "job-1", "outer"},
		"of the message": {t.Context(), fromGame, "job-1", "job-1"},
		"random":         {t.Context(), fromGame, "", ""},
		"random too":     {t.Context(), nil, "job-1", ""},
	} {
		out.Reset()
		var got string
		_ = middleware.Correlate(c.from)(message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
			got = middleware.Trace(ctx)
			logger.InfoContext(ctx, "working")
			return nil
		})).Handle(c.ctx, &message.Message{Game: c.game})
		if c.want == "" && (len(got) < 16 || got == c.game) || c.want != "" && got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if line := out.String(); !strings.Contains(line, "agent=a") || !strings.Contains(line, "trace="+got) {
			t.Errorf("%s: got the line %q, want trace=%s", name, line, got)
		}
	}
	out.Reset()
	logger.Info("idle")
	if strings.Contains(out.String(), "trace=") {
		t.Errorf("got %q outside of any trace", out.String())
	}
}
