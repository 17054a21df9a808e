package middleware_test

import (
	"context"
	"errors"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/middleware"
)

// onEachClaims runs a test on every kind of Claims.
func onEachClaims(t *testing.T, test func(t *testing.T, claims middleware.Claims)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, middleware.NewOnceMemory(0))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server, err := redisx.StartEmbedded("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		client, err := redisx.Open(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		test(t, middleware.OnceRedis{Redis: client})
	})
}

// TestOnce: done is done, what failed in any way is handled again, and what has no key always is.
func TestOnce(t *testing.T) {
	t.Parallel()
	onEachClaims(t, func(t *testing.T, claims middleware.Claims) {
		calls := map[string]int{}
		late := new(message.Pending)
		h := message.Chain(
			middleware.Recover(func(context.Context, *message.Message, *middleware.Panic) {}),
			middleware.Once(claims, nil),
		)(message.HandlerFunc(func(_ context.Context, m *message.Message) error {
			calls[m.ID]++
			if calls[m.ID] > 1 {
				return nil
			}
			switch m.ID {
			case "fails":
				return errBroken
			case "panics":
				panic("boom")
			case "late":
				return late
			}
			return nil
		}))
		ended, cancel := context.WithCancel(t.Context())
		for range 3 {
			for _, id := range []string{"good", "fails", "panics", "late", ""} {
				_ = h.Handle(ended, &message.Message{ID: id, From: message.Address{ID: "ann"}})
			}
		}
		if calls["late"] != 1 {
			t.Errorf("work under way was begun %d times", calls["late"])
		}
		cancel() // the claim is given back all the same
		late.Done(message.Result{}, errBroken)
		for range 2 {
			if err := h.Handle(t.Context(), &message.Message{ID: "late", From: message.Address{ID: "ann"}}); err != nil {
				t.Error(err)
			}
		}
		_ = h.Handle(t.Context(), &message.Message{ID: "good", From: message.Address{ID: "bob"}})
		for id, want := range map[string]int{"good": 2, "fails": 2, "panics": 2, "late": 2, "": 3} {
			if calls[id] != want {
				t.Errorf("%q was handled %d times, want %d", id, calls[id], want)
			}
		}
	})
}

func TestOnceMemoryIsBounded(t *testing.T) {
	t.Parallel()
	o := middleware.NewOnceMemory(2)
	for i, step := range []struct {
		key   string
		first bool
	}{{"a", true}, {"b", true}, {"a", false}, {"c", true}, {"a", true}, {"c", false}, {"b", true}} {
		if first, err := o.Claim(t.Context(), step.key); first != step.first || err != nil {
			t.Errorf("step %d: got %v, %v for %q", i, first, err, step.key)
		}
	}
	_ = o.Release(t.Context(), "b")
	if first, _ := o.Claim(t.Context(), "b"); !first {
		t.Error("what was released cannot be claimed")
	}
}

// TestOnceFailsClosed: without an answer about the claim nothing is handled.
func TestOnceFailsClosed(t *testing.T) {
	t.Parallel()
	h := middleware.Once(broken{}, nil)(message.HandlerFunc(func(context.Context, *message.Message) error {
		t.Error("handled")
		return nil
	}))
	if err := h.Handle(t.Context(), &message.Message{ID: "1"}); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Claim(context.Context, string) (bool, error) { return false, errBroken }
func (broken) Release(context.Context, string) error       { return errBroken }
