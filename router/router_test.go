package router_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/router"
)

func TestDirectAcrossAgents(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a, b := m.agent("a"), m.agent("b")
		bobA, bobB, eve := m.client(a, "bob").bind(), m.client(b, "bob").bind(), m.client(b, "eve").bind()
		first := a.mustPublish(chat(inbox("bob"), "", "ann 1", "one"))
		if o := b.publish(chat(inbox("bob"), "", "ann 1", "one")); !o.duplicate || o.Result != first || o.err != nil {
			t.Errorf("a repeat gave %+v, want a duplicate of %+v", o, first)
		}
		if got := b.mustPublish(chat(inbox("bob"), "", "ann 2", "two")); got.Seq != first.Seq+1 || got.Epoch != first.Epoch {
			t.Errorf("the second post got %+v after %+v", got, first)
		}
		for _, c := range []*client{bobA, bobB} {
			got := c.waitTexts("one", "two")
			if got[0].Seq != 1 || got[1].Seq != 2 || got[1].Epoch != first.Epoch {
				t.Errorf("got %+v", got)
			}
		}
		if got := eve.all(); len(got) != 0 {
			t.Errorf("eve got %s", brief(got))
		}
		if !a.Online(m.ctx, "eve") || a.Online(m.ctx, "nobody") {
			t.Error("Online is wrong")
		}
		b.Detach(eve)
		b.Detach(eve)
		eventually(t, "eve is offline", func() bool { return !a.Online(m.ctx, "eve") })
	})
}

func TestGlobal(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a, b := m.agent("a"), m.agent("b")
		ann, bob := m.client(a, "ann").bind(), m.client(b, "bob").bind()
		a.mustPublish(chat(global, "ann", "1", "hello"))
		b.mustPublish(chat(global, "bob", "2", "you"))
		ann.waitTexts("hello", "you")
		bob.waitTexts("hello", "you")
		b.Volatile(global, []byte(`{"type":"Chat","message":"psst"}`), nil)
		ann.waitTexts("hello", "you", "psst")
		bob.waitTexts("hello", "you", "psst")
	})
}

func TestRooms(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a, b := m.agent("a"), m.agent("b")
		const id = "lobby}{"
		ann, bob, eve := m.client(a, "ann").bind(), m.client(b, "bob").bind(), m.client(b, "eve").bind()
		bob2 := m.client(a, "bob").bind()
		if o := a.publish(chat(room(id), "eve", "", "let me in")); !errors.Is(o.err, router.ErrNotMember) {
			t.Errorf("a stranger's post gave %v", o.err)
		}
		if _, _, err := a.Members(m.ctx, id, "eve"); !errors.Is(err, router.ErrNotMember) {
			t.Errorf("a stranger's Members gave %v", err)
		}
		if _, first := ann.join(id, router.Resume{}); !first {
			t.Error("ann's first join is none")
		}
		a.mustPublish(chat(room(id), "ann", "1", "early"))
		if _, first := bob.join(id, since(0, "")); !first {
			t.Error("bob's first join is none")
		}
		if _, first := bob.join(id, router.Resume{}); first {
			t.Error("bob's second join is his first")
		}
		ann.wait("bob's presence", func(got []envelope) bool {
			return slices.ContainsFunc(got, func(e envelope) bool {
				return e.Type == "Presence" && e.To.ID == id && slices.Equal(e.Joined, []string{"bob"})
			})
		})
		eventually(t, "bob's other connection follows", func() bool {
			b.Volatile(room(id), []byte(`{"type":"Probe"}`), nil)
			return slices.ContainsFunc(bob2.all(), func(e envelope) bool { return e.Type == "Probe" })
		})
		b.mustPublish(chat(room(id), "bob", "2", "late"))
		ann.waitTexts("early", "late")
		bob.waitTexts("late")
		bob2.waitTexts("late")
		members, online, err := b.Members(m.ctx, id, "bob")
		slices.Sort(members)
		if err != nil || !slices.Equal(members, []string{"ann", "bob"}) || len(online) != 2 {
			t.Errorf("Members: %v, %v, %v", members, online, err)
		}

		// Membership outlives connections.
		b.Detach(bob)
		a.Detach(bob2)
		eventually(t, "bob is offline", func() bool { return !a.Online(m.ctx, "bob") })
		a.mustPublish(chat(room(id), "ann", "3", "missed"))
		back := m.client(a, "bob").bind()
		standing, first := back.join(id, since(0, ""))
		if first || standing.Seq != 3 || standing.Gap || standing.Oldest != 2 {
			t.Errorf("back in the room: %+v, %v", standing, first)
		}
		back.waitTexts("late", "missed")

		other := m.client(b, "bob").bind()
		if err := a.Leave(m.ctx, "bob", id); err != nil {
			t.Fatal(err)
		}
		ann.wait("bob's leaving", func(got []envelope) bool {
			return slices.ContainsFunc(got, func(e envelope) bool { return slices.Equal(e.Left, []string{"bob"}) })
		})
		a.mustPublish(chat(room(id), "ann", "4", "gone"))
		ann.waitTexts("early", "late", "missed", "gone")
		if got := texts(back.all()); len(got) != 2 {
			t.Errorf("after he left bob got %v", got)
		}
		if o := b.publish(chat(room(id), "bob", "2", "late")); o.err != nil || !o.duplicate || o.Seq != 2 {
			t.Errorf("a repeat after leaving gave %+v", o)
		}
		eventually(t, "bob's other connection left", func() bool { return b.Stats().Feeds <= 3 })
		if got := append(other.all(), eve.all()...); len(texts(got)) != 0 {
			t.Errorf("others got %s", brief(got))
		}
	})
}

func TestTenThousandInOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		const n = 10_000
		a, b := m.agent("a", func(c *router.Config) { c.LaneSize = n }), m.agent("b")
		bob := m.client(b, "bob").bind()
		var mu sync.Mutex
		var acked []int64
		for i := range n {
			a.Publish(chat(inbox("bob"), "", fmt.Sprint(i), fmt.Sprint(i)), func(r message.Result, _ bool, err error) {
				if err != nil {
					t.Errorf("post %d: %v", i, err)
				}
				mu.Lock()
				acked = append(acked, r.Seq)
				mu.Unlock()
			})
		}
		got := bob.wait("all", func(got []envelope) bool { return len(got) == n })
		ascending(t, got, 0, n)
		for i, e := range got {
			if e.Text != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, e.Text)
			}
		}
		eventually(t, "all are acknowledged", func() bool { mu.Lock(); defer mu.Unlock(); return len(acked) == n })
		if !slices.IsSorted(acked) {
			t.Error("the outcomes came out of order")
		}
	})
}

// TestMembershipRaces joins and leaves one room from both agents at once. In the end everybody's connections
// agree with the room.
func TestMembershipRaces(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		m.shuffle, m.twice = 30, 20
		a, b := m.agent("a"), m.agent("b")
		owner := m.client(a, "owner").bind()
		owner.join("r", router.Resume{})
		users := []string{"u1", "u2", "u3", "u4"}
		var conns []*client
		var work sync.WaitGroup
		for _, u := range users {
			onA, onB := m.client(a, u).bind(), m.client(b, u).bind()
			conns = append(conns, onA, onB)
			for _, c := range []*client{onA, onB} {
				work.Go(func() {
					for range 10 {
						if _, err := c.a.Join(m.ctx, u, "r", c, router.Resume{}, nil); err != nil && !errors.Is(err, router.ErrNotMember) {
							t.Error(err)
						}
						if err := c.a.Leave(m.ctx, u, "r"); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		work.Wait()
		for _, u := range users[:2] {
			if _, err := a.Join(m.ctx, u, "r", nil, router.Resume{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		eventually(t, "connections agree with the room", func() bool {
			n++
			text := fmt.Sprint("probe ", n)
			a.mustPublish(chat(room("r"), "owner", "", text))
			owner.wait(text, func(got []envelope) bool { return slices.Contains(texts(got), text) })
			for _, c := range conns {
				if slices.Contains(texts(c.all()), text) != (c.user == "u1" || c.user == "u2") {
					return false
				}
			}
			return true
		})
		members, _, err := a.Members(m.ctx, "r", "owner")
		slices.Sort(members)
		if err != nil || !slices.Equal(members, []string{"owner", "u1", "u2"}) {
			t.Errorf("members %v, %v", members, err)
		}
		for _, u := range users {
			want := u == "u1" || u == "u2"
			if got := m.redis.HExists(m.ctx, "{m:u:"+u+"}:rooms", "r").Val(); want && !got {
				t.Errorf("the index of %s lost the room", u)
			}
		}
	})
}
