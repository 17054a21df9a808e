package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
)

func TestRateLimitConfig(t *testing.T) {
	t.Parallel()
	for field, c := range map[string]middleware.RateLimitConfig{
		"PerSecond": {}, "PerSecond ": {PerSecond: -1}, "PerSecond  ": {PerSecond: math.NaN()}, "PerSecond   ": {PerSecond: math.Inf(1)},
		"Burst": {PerSecond: 1, Burst: -1}, "Keys": {PerSecond: 1, Keys: -1},
		"Strikes": {PerSecond: 1, Strikes: -1}, "Window": {PerSecond: 1, Window: -1},
	} {
		if _, err := middleware.NewRateLimit(c); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(field)) {
			t.Errorf("%+v: got %v, want an error that names %s", c, err, field)
		}
	}
}

func newLimit(t testing.TB, c middleware.RateLimitConfig) *middleware.RateLimit {
	t.Helper()
	limit, err := middleware.NewRateLimit(c)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newLimit(t, middleware.RateLimitConfig{PerSecond: 2, Burst: 3}).Middleware(handler(nil))
		send := func(user string) error {
			return h.Handle(t.Context(), &message.Message{From: message.Address{Type: message.User, ID: user}})
		}
		for i := range 3 {
			if err := send("ann"); err != nil {
				t.Errorf("message %d of the burst: %v", i, err)
			}
		}
		for range 3 { // refusals cost nothing
			var limited *message.Error
			if err := send("ann"); !errors.As(err, &limited) || limited.Code != message.RateLimited || !limited.Retry || limited.RetryAfter != 500*time.Millisecond {
				t.Errorf("got %+v, want RateLimited, retry after 500ms", err)
			}
		}
		if err := send("bob"); err != nil {
			t.Errorf("another user pays for ann: %v", err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := send("ann"); err != nil {
			t.Errorf("after RetryAfter: %v", err)
		}
		if err := send("ann"); err == nil {
			t.Error("two messages for one token")
		}
	})
}

func TestRateLimitKey(t *testing.T) {
	t.Parallel()
	limit := newLimit(t, middleware.RateLimitConfig{PerSecond: 1e-6, Burst: 1, Key: func(m *message.Message) (string, bool) {
		return m.Game, m.Type == "GameAction"
	}})
	h := limit.Middleware(handler(nil))
	action := &message.Message{Type: "GameAction", Game: "chess"}
	if err := h.Handle(t.Context(), action); err != nil {
		t.Error(err)
	}
	if err := h.Handle(t.Context(), action); err == nil {
		t.Error("the second action of the game went through")
	}
	if err := h.Handle(t.Context(), &message.Message{Type: "Ping", Game: "chess"}); err != nil {
		t.Errorf("a free message: %v", err)
	}
}

func TestRateLimitForgetsTheOldest(t *testing.T) {
	t.Parallel()
	limit := newLimit(t, middleware.RateLimitConfig{PerSecond: 1e-6, Burst: 1, Keys: 2})
	for i, step := range []struct {
		key   string
		empty bool
	}{
		{"a", false}, {"b", false}, {"a", true}, {"c", false}, // forgets b
		{"a", true}, {"b", false}, // forgets c
		{"a", true}, {"c", false},
	} {
		if wait := limit.Take(step.key); (wait > 0) != step.empty {
			t.Errorf("step %d: Take(%q) = %v, want empty %v", i, step.key, wait, step.empty)
		}
	}
}

func BenchmarkRateLimit(b *testing.B) {
	limit := newLimit(b, middleware.RateLimitConfig{PerSecond: 1e9, Burst: 1e9})
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = fmt.Sprint("user-", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		limit.Take(keys[i%len(keys)])
	}
}

func TestRateLimitKeys(t *testing.T) {
	t.Parallel()
	user, room := message.Address{Type: message.User, ID: "ann"}, message.Address{Type: message.ChatRoom, ID: "hall"}
	inRoom := &message.Message{Type: message.ChatRoomMessage, From: user, To: room}
	inGame := &message.Message{Type: message.GameAction, From: user, Game: "chess"}
	for name, c := range map[string]struct {
		key            func(*message.Message) (string, bool)
		room, game     string
		isRoom, isGame bool
	}{
		"user": {middleware.PerUser, "ann", "ann", true, true},
		"room": {middleware.PerRoom, "ann\x00hall", "", true, false},
		"game": {middleware.PerGame, "", "ann\x00chess", false, true},
		"type": {middleware.PerType, "ann\x00ChatRoomMessage", "ann\x00GameAction", true, true},
	} {
		if key, limited := c.key(inRoom); limited != c.isRoom || limited && key != c.room {
			t.Errorf("%s: a room message has key %q, limited %v", name, key, limited)
		}
		if key, limited := c.key(inGame); limited != c.isGame || limited && key != c.game {
			t.Errorf("%s: an action has key %q, limited %v", name, key, limited)
		}
	}
}

// TestRateLimitExceeded: refusals are reported when they are many within the window, once for as many.
func TestRateLimitExceeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		h := newLimit(t, middleware.RateLimitConfig{
			PerSecond: 1e-6, Burst: 1, Strikes: 3, Window: 2 * time.Second,
			Exceeded: func(_ context.Context, key string, m *message.Message) { told = append(told, key+" "+m.ID) },
		}).Middleware(handler(nil))
		send := func(user string, ids ...string) {
			for _, id := range ids {
				_ = h.Handle(t.Context(), &message.Message{ID: id, From: message.Address{ID: user}})
			}
		}
		send("ann", "free", "1", "2")
		send("bob", "free", "1", "2")
		time.Sleep(3 * time.Second)
		send("ann", "3", "4") // the window is another
		if len(told) > 0 {
			t.Errorf("got %q too early", told)
		}
		send("ann", "5", "6", "7", "8")
		if got := fmt.Sprint(told); got != "[ann 5 ann 8]" {
			t.Errorf("got %s", got)
		}
	})
}
