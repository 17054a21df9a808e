package agents_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents"
)

// TestRate: a user who sends too much is told, and one who does not listen loses the connection; others are
// not concerned.
func TestRate(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Rate, cfg.Burst, cfg.Strikes = 0.001, 4, 5
	r := run(t, cfg, nil)
	ann, bob := r.login(t, "ann"), r.login(t, "bob") // one message each
	ann.direct("1", "ann", "x")
	ann.join("room")
	ann.direct("2", "ann", "x")
	ann.ack("2")
	ann.direct("3", "ann", "x")
	if e := ann.refused("3", "RateLimited"); e["retry"] != true || e.num("retry_after_ms") <= 0 {
		t.Errorf("got %v, want to be told when to send again", e)
	}
	room := map[string]string{"type": "ChatRoom", "id": "room"}
	for i, e := range []envelope{{"type": "Login"}, {"type": "Who", "to": room}, {"type": "LeaveRoom", "to": room}} {
		e["id"] = fmt.Sprint("operation ", i)
		ann.send(e)
		ann.refused(e.str("id"), "RateLimited")
	}
	ann.send(envelope{"type": "Ping"})
	ann.next("Pong", func(e envelope) bool { return e.str("type") == "Pong" })
	ann.direct("5", "ann", "x") // the fifth refusal
	<-ann.Done()
	if ann.CloseCode() != 4429 {
		t.Errorf("closed with %d, want 4429", ann.CloseCode())
	}
	bob.direct("1", "bob", "x")
	bob.ack("1")
}

func TestRateConfig(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]agents.Config{"Rate": {Rate: -1}, "Burst": {Burst: -1}, "Strikes": {Strikes: -1}} {
		if _, err := agents.New(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
