package agents_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/message"
)

// heard is what a subscriber got.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) add(m *message.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, m.Type+" "+m.ID+" of "+m.From.ID)
}

func (h *heard) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// TestAudienceMessages: each audience hears what concerns it and nothing else, from when it subscribes to
// when it leaves.
func TestAudienceMessages(t *testing.T) {
	t.Parallel()
	r := run(t, config(), func(a *agents.Agent) {
		a.Handle("GameAction", func(ctx context.Context, m *message.Message) error {
			return a.Game(m.Game).Send(ctx, &message.Message{Text: "moved in " + m.Game})
		})
	})
	ann, bob := r.login(t, "ann"), r.login(t, "bob")
	for _, c := range []*client{ann, bob} {
		c.join("chess")
		c.join("hall")
	}
	round := func(n int) {
		for _, c := range []*client{ann, bob} {
			id := func(what string) string { return fmt.Sprint(what, n) }
			for _, room := range []string{"chess", "hall"} {
				c.send(envelope{"type": "ChatRoomMessage", "id": id(room), "to": map[string]string{"type": "ChatRoom", "id": room}, "message": "x"})
				c.send(action(id("move-"+room), room, n))
			}
			c.send(envelope{"type": "GlobalMessage", "id": id("all"), "message": "x"})
			c.direct(id("direct"), "ann", "x")
			c.ack(id("direct"))
		}
	}
	round(0) // nobody listens
	want := map[string][]string{
		"room": {"ChatRoomMessage chess1 of ann", "ChatRoomMessage chess1 of bob"},
		"game": {"GameAction move-chess1 of ann", "GameAction move-chess1 of bob"},
		"all":  {"GlobalMessage all1 of ann", "GlobalMessage all1 of bob"},
		"user": {
			"ChatRoomMessage chess1 of bob", "GameAction move-chess1 of bob", "ChatRoomMessage hall1 of bob",
			"GameAction move-hall1 of bob", "GlobalMessage all1 of bob", "DirectMessage direct1 of bob",
		},
	}
	got := map[string]*heard{}
	var leave []func()
	for name, audience := range map[string]agents.Audience{
		"room": r.Room("chess"), "game": r.Game("chess"), "all": r.Everyone(), "user": r.User("bob"),
	} {
		got[name] = &heard{}
		sub := audience.Messages().Subscribe(t.Context(), got[name].add, nil, nil)
		leave = append(leave, func() { sub.Dispose(); <-sub.Done() })
	}
	round(1)
	for name, h := range got {
		eventually(t, name+" has heard all", func() bool { return len(h.list()) >= len(want[name]) })
	}
	for _, f := range leave {
		f()
	}
	round(2) // nobody listens any more
	for name, h := range got {
		if list := h.list(); !slices.Equal(list, want[name]) {
			t.Errorf("%s heard %q, want %q", name, list, want[name])
		}
	}
	ann.send(action("last", "chess", nil)) // after all that bob has read
	bob.saying("moved in chess")
}
