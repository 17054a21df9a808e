package router_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/router"
)

func lease(d time.Duration) func(*router.Config) { return func(c *router.Config) { c.Lease = d } }

// TestBadCarrier loses, doubles and shuffles jobs.
func TestBadCarrier(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		const n = 900
		m.drop, m.twice, m.shuffle = 10, 20, 50
		a, b := m.agent("a"), m.agent("b", lease(600*time.Millisecond))
		bob, ann := m.client(b, "bob").bind(), m.client(b, "ann").bind()
		ann.join("r", router.Resume{})
		var work sync.WaitGroup
		for i := range n {
			work.Add(2)
			done := func(_ message.Result, _ bool, err error) {
				if err != nil {
					t.Error(err)
				}
				work.Done()
			}
			a.Publish(chat(inbox("bob"), "", "", fmt.Sprint(i)), done)
			a.Publish(chat(room("r"), "ann", "", fmt.Sprint(i)), done)
		}
		work.Wait()
		for _, c := range []*client{bob, ann} {
			got := c.wait("all", func(got []envelope) bool { return lastSeq(got) == n })
			ascending(t, got, 0, n)
		}
		if s := b.Stats(); s.Filled == 0 {
			t.Errorf("nothing was lost: %+v", s)
		}
	})
}

// TestLostTail loses every job: renewing the lease shows what is missing.
func TestLostTail(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		m.drop = 100
		a, b := m.agent("a"), m.agent("b", lease(300*time.Millisecond))
		bob := m.client(b, "bob").bind()
		for i := range 5 {
			a.mustPublish(chat(inbox("bob"), "", "", fmt.Sprint(i)))
		}
		a.mustPublish(chat(global, "ann", "", "to all"))
		bob.wait("all", func(got []envelope) bool { return len(got) == 6 })
	})
}

func TestDeadAgent(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a, b, c := m.agent("a"), m.agent("b"), m.agent("c", lease(500*time.Millisecond))
		m.client(b, "bob").bind()
		m.client(c, "ida").bind()
		bob, ida := m.client(a, "bob").bind(), m.client(a, "ida").bind()
		m.client(b, "zoe").bind()
		m.client(c, "yan").bind()
		b.Abandon()
		c.Abandon()
		b.stop()
		c.stop()
		if !a.Online(m.ctx, "zoe") {
			t.Error("the crash was an orderly end")
		}
		a.mustPublish(chat(inbox("bob"), "", "", "still here")) // b's inbox is gone: ErrNoAgent
		bob.waitTexts("still here")
		if err := a.Forget(m.ctx, "b"); err != nil {
			t.Fatal(err)
		}
		if a.Online(m.ctx, "zoe") {
			t.Error("Forget forgot nothing")
		}
		eventually(t, "the lease ends", func() bool { return !a.Online(m.ctx, "yan") })
		a.mustPublish(chat(inbox("ida"), "", "", "here too"))
		ida.waitTexts("here too")
		if !a.Online(m.ctx, "bob") {
			t.Error("a living agent's entry is gone")
		}
		// What was found in b's inbox goes to whoever is there now.
		err := a.Reroute(m.ctx, &message.Message{Type: router.DeliveryType, To: message.Address{Type: message.User, ID: "bob"}})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestReconnectElsewhere(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a, b := m.agent("a"), m.agent("b")
		for i := range 20 {
			old := m.client(a, "bob").bind()
			next := m.client(b, "bob").bind()
			same := m.client(a, "bob")
			a.Detach(old)
			same.bind()
			a.Detach(old)
			b.mustPublish(chat(inbox("bob"), "", "", fmt.Sprint(i)))
			next.waitTexts(fmt.Sprint(i))
			same.waitTexts(fmt.Sprint(i))
			if got := texts(old.all()); len(got) != 0 {
				t.Errorf("the old connection got %v", got)
			}
			a.Detach(same)
			b.Detach(next)
		}
		eventually(t, "bob is offline", func() bool { return !a.Online(m.ctx, "bob") })
	})
}

func TestStaleIndexIsCleaned(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a := m.agent("a")
		index := "{m:u:b%25%7Db}:rooms"
		if err := m.redis.HSet(m.ctx, index, "gone", "t").Err(); err != nil {
			t.Fatal(err)
		}
		bob := m.client(a, "b%}b").bind()
		if n := m.redis.HLen(m.ctx, index).Val(); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		bob.join("there", router.Resume{})
		a.Detach(bob)
		m.client(a, "b%}b").bind()
		if n := m.redis.HLen(m.ctx, index).Val(); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	})
}

func TestRefusingConnectionIsDetached(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		a := m.agent("a")
		bob, slow := m.client(a, "bob").bind(), m.client(a, "bob").bind()
		slow.full = true
		a.mustPublish(chat(inbox("bob"), "", "", "one"))
		bob.waitTexts("one")
		if s := a.Stats(); s.Connections != 1 || s.Detached != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	m := newMesh(t, server.URL)
	warned := make(warnings, 1)
	a := m.agent("a", func(c *router.Config) {
		c.Patience, c.LaneSize, c.Lanes, c.Logger = 100*time.Millisecond, 10, 1, slog.New(warned)
	})
	a.mustPublish(chat(inbox("bob"), "", "", "one"))
	server.Kill()
	first := make(chan error, 1)
	a.Publish(chat(inbox("bob"), "", "", "two"), func(_ message.Result, _ bool, err error) { first <- err })
	<-warned // it was tried, and may have to be tried until Redis is back
	outcomes := make(chan error, 20)
	for i := range 20 {
		a.Publish(chat(inbox(fmt.Sprint(i)), "", "", ""), func(_ message.Result, _ bool, err error) { outcomes <- err })
	}
	refused, unavailable := 0, 0
	for range 20 {
		switch err := <-outcomes; {
		case errors.Is(err, router.ErrRefused):
			refused++
		case errors.Is(err, router.ErrUnavailable):
			unavailable++
		default:
			t.Errorf("got %v", err)
		}
	}
	if refused != 11 && refused != 10 {
		t.Errorf("%d were refused and %d unavailable", refused, unavailable)
	}
	server.Restart()
	if err := <-first; err != nil && !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("the first gave %v", err)
	}
	a.mustPublish(chat(inbox("bob"), "", "", "three"))
}

// warnings tells that something was logged.
type warnings chan struct{}

func (w warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w warnings) WithGroup(string) slog.Handler            { return w }
func (w warnings) Handle(context.Context, slog.Record) error {
	select {
	case w <- struct{}{}:
	default:
	}
	return nil
}

// TestRedisRestarts kills Redis again and again under load. It writes before it answers, so nothing that was
// acknowledged is lost, and everybody gets everything once.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	m := newMesh(t, server.URL)
	long := func(c *router.Config) { c.Patience, c.Lease = time.Minute, 900*time.Millisecond }
	a, b := m.agent("a", long), m.agent("b", long)
	bob := m.client(b, "bob").bind()
	const n = 2000
	var acked atomic.Int64
	var work sync.WaitGroup
	slots := make(chan struct{}, 50)
	work.Go(func() {
		for i := range n {
			slots <- struct{}{}
			work.Add(1)
			a.Publish(chat(inbox("bob"), "", fmt.Sprint(i), fmt.Sprint(i)), func(_ message.Result, _ bool, err error) {
				if err != nil {
					t.Errorf("post %d: %v", i, err)
				}
				acked.Add(1)
				<-slots
				work.Done()
			})
		}
	})
	for _, at := range []int64{300, 900, 1500} {
		eventually(t, "progress", func() bool { return acked.Load() > at })
		server.Kill()
		server.Restart()
	}
	work.Wait()
	got := bob.wait("all", func(got []envelope) bool { return lastSeq(got) >= n })
	ascending(t, got, 0, n)
	for i, text := range texts(got) {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, text)
		}
	}
}

// TestRedisLosesItsTail lets Redis come back without the last entries: what is then stored under the lost
// numbers still reaches everybody, under a new epoch.
func TestRedisLosesItsTail(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mesh) {
		// No renewal of a lease helps.
		a, b := m.agent("a", lease(time.Hour)), m.agent("b", lease(time.Hour))
		bobA, bobB := m.client(a, "bob").bind(), m.client(b, "bob").bind()
		var before message.Result
		for i := range 10 {
			before = a.mustPublish(chat(inbox("bob"), "", "", fmt.Sprint(i)))
		}
		want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
		bobA.waitTexts(want...)
		bobB.waitTexts(want...)
		if err := m.redis.HSet(m.ctx, "{m:u:bob}:h", "seq", 7).Err(); err != nil {
			t.Fatal(err)
		}
		m.redis.Del(m.ctx, "{m:u:bob}:l")
		for seq := range 7 {
			p := chat(inbox("bob"), "", "", fmt.Sprint(seq))
			err := m.redis.Do(m.ctx, "XADD", "{m:u:bob}:l", fmt.Sprintf("%d-0", seq+1), "t", "99999999999999", "b", p.Body).Err()
			if err != nil {
				t.Fatal(err)
			}
		}
		a.mustPublish(chat(inbox("bob"), "", "", "new"))
		for _, c := range []*client{bobA, bobB} {
			got := c.waitTexts(append(want, "new")...)
			if last := got[len(got)-1]; last.Epoch == before.Epoch || last.Seq != 8 {
				t.Errorf("got %+v after %+v", last, before)
			}
		}
	})
}
