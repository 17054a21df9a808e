package agents_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/testredis"
)

// TestRevocationOnAnotherAgentCutsTheConnection within a second, though this agent would reuse its verdict for an
// hour. The delay is printed.
func TestRevocationOnAnotherAgentCutsTheConnection(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	cfg := config()
	cfg.Redis, cfg.SessionTTL = server.URL, time.Hour
	other := cfg
	other.Name = "other"
	a, b := run(t, cfg, nil), run(t, other, nil)
	var worst time.Duration
	for i := range 10 {
		ann := a.login(t, fmt.Sprint("ann", i))
		ann.direct("1", "ann", "x")
		ann.ack("1")
		begin := time.Now()
		if n, err := b.Sessions().RevokeUser(context.Background(), ann.user); err != nil || n != 1 {
			t.Fatalf("RevokeUser: %d, %v", n, err)
		}
		<-ann.Done()
		worst = max(worst, time.Since(begin))
		if ann.CloseCode() != 4401 {
			t.Errorf("closed with %d, want 4401", ann.CloseCode())
		}
		again := a.connect(t, ann.user, ann.token)
		again.direct("2", "ann", "x")
		if e := again.next("Logout", func(e envelope) bool { return e.str("type") == "Logout" }); e.str("reason") != "SessionRevoked" {
			t.Errorf("a revoked session is told %v", e)
		}
	}
	t.Logf("from the revocation on agent B until the connection to agent A was cut: at most %v in 10", worst.Round(time.Millisecond))
	if worst > 10*time.Second {
		t.Errorf("it took %v", worst)
	}
}

// TestNobodyIsLetInWithoutRedis, nor is who was in believed for longer than SessionTTL; all are told Unavailable,
// keep their connections, and are served again when Redis is back, without doing anything.
func TestNobodyIsLetInWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"cached": 100 * time.Millisecond, "strict": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testredis.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			cfg := config()
			cfg.Redis, cfg.SessionTTL = server.URL, ttl
			r := run(t, cfg, nil)
			ann := r.login(t, "ann")
			bob := r.connect(t, "bob", r.session(t, "bob"))
			nobody := r.connect(t, "nobody", "a session that nobody made")
			server.Stop()
			for i, c := range []*client{bob, nobody} {
				c.send(envelope{"type": "Login", "id": fmt.Sprint("in ", i)})
				if e := c.refused(fmt.Sprint("in ", i), "Unavailable"); e["retry"] != true {
					t.Errorf("got %v, want to be told to try again", e)
				}
			}
			tries := 0
			eventually(t, "who was in is not believed any longer", func() bool {
				tries++
				id := fmt.Sprint("during ", tries)
				ann.direct(id, "ann", id)
				e := ann.answer(id)
				return e.str("type") == "Error" && e.str("code") == "Unavailable"
			})
			server.Restart()
			eventually(t, "service resumes", func() bool {
				tries++
				id := fmt.Sprint("again ", tries)
				nobody.direct(id, "ann", "x")
				return nobody.next("an answer", func(e envelope) bool { return e.str("ref") == id || e.str("type") == "Logout" }).str("type") == "Logout"
			})
			ann.direct("after", "ann", "x")
			ann.ack("after")
			bob.send(envelope{"type": "Login", "id": "in after all"})
			bob.ack("in after all")
		})
	}
}
