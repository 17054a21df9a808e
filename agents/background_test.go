package agents_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents"
)

func TestBackgroundAndModules(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	ready := make(chan struct{})
	a, err := agents.New(agents.Config{Name: "w", Ready: func(agents.Addresses) { close(ready) }})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, name := range []string{"first", "second"} {
		a.Use(agents.Module{
			Name:     name,
			Setup:    func(context.Context, *agents.Agent) error { order = append(order, "+"+name); return nil },
			Shutdown: func(context.Context) { order = append(order, "-"+name) },
		})
	}
	held := make(chan struct{})
	length := agents.NewBackground(a, "length", 1, 1, func(ctx context.Context, s string) (int, error) {
		switch s {
		case "panic":
			panic("boom")
		case "hold":
			close(held)
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return len(s), nil
	})
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	<-ready

	submit := func(s string) *agents.Outcome[int] {
		t.Helper()
		o, err := length.Submit(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if n, err := submit("four").Wait(t.Context()); n != 4 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := submit("panic").Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("a panic gave %v", err)
	}
	running := submit("hold")
	<-held
	queued := submit("never")
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := length.Submit(impatient, "no room"); !errors.Is(err, context.Canceled) {
		t.Errorf("a full queue gave %v", err)
	}
	if _, err := running.Wait(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with an ended context gave %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := running.Wait(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("work under way ended with %v", err)
	}
	if _, err := queued.Wait(t.Context()); !errors.Is(err, agents.ErrStopped) {
		t.Errorf("queued work ended with %v", err)
	}
	if _, err := length.Submit(t.Context(), "late"); !errors.Is(err, agents.ErrStopped) {
		t.Errorf("work for a stopped agent gave %v", err)
	}
	if got := strings.Join(order, " "); got != "+first +second -second -first" {
		t.Errorf("modules ran %s", got)
	}
}

func TestModuleThatFails(t *testing.T) {
	t.Parallel()
	a, err := agents.New(agents.Config{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	ended := false
	a.Use(agents.Module{Name: "good", Shutdown: func(context.Context) { ended = true }})
	a.Use(agents.Module{Name: "bad", Setup: func(context.Context, *agents.Agent) error { return boom }})
	if err := a.Run(t.Context()); !errors.Is(err, boom) || !strings.Contains(err.Error(), "bad") {
		t.Errorf("Run gave %v", err)
	}
	if !ended {
		t.Error("the module that was set up was not shut down")
	}
}
