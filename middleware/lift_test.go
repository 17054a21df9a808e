package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
	"github.com/agentmesh/agentmesh/observables"
)

// TestLift: a chain as an operator passes on, changes, stops and refuses; an error costs its message only.
func TestLift(t *testing.T) {
	t.Parallel()
	mark := func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			switch m.Text {
			case "refuse":
				return refusal
			case "panic":
				panic("boom")
			case "stop":
				return nil
			}
			changed := *m
			changed.Text = "seen " + m.Text
			return next.Handle(ctx, &changed)
		})
	}
	waits := func(next message.Handler) message.Handler { // with an outcome that comes later
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			if err := next.Handle(ctx, m); err != nil {
				return err
			}
			return new(message.Pending)
		})
	}
	in := observables.NewSubject[*message.Message](observables.Config{})
	var got []string
	var failed []error
	sub := in.Stream().Pipe(middleware.Lift(t.Context(), mark, waits)).Subscribe(t.Context(),
		func(m *message.Message) { got = append(got, m.Text) },
		func(err error) { failed = append(failed, err) }, nil)
	for _, text := range []string{"a", "refuse", "panic", "stop", "b"} {
		in.OnNext(&message.Message{Text: text})
	}
	in.OnCompleted()
	<-sub.Done()
	if sub.Err() != nil || !slices.Equal(got, []string{"seen a", "seen b"}) {
		t.Errorf("got %q, %v", got, sub.Err())
	}
	var item *observables.ItemError
	if len(failed) != 2 || !errors.Is(failed[0], refusal) || !errors.As(failed[1], &item) || fmt.Sprint(item.Panic) != "boom" {
		t.Errorf("got errors %v", failed)
	}
}
