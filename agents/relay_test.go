package agents_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

// dealer connects a raw DEALER.
func dealer(t *testing.T, r *running, routingID string) *zeromq.Dealer {
	t.Helper()
	d, err := zeromq.NewDealer(zeromq.DealerConfig{Endpoint: r.at.ZeroMQ[0], RoutingID: routingID})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(t.Context()) }()
	t.Cleanup(func() { <-ended })
	return d
}

// TestFloods: whatever a connection sends counts, also what cannot be read or is for other clients.
func TestFloods(t *testing.T) {
	t.Parallel()
	byConnection := func(c *agents.Config) { c.ConnRate, c.ConnBurst = 0.001, 2 }
	byUser := func(c *agents.Config) { c.Rate, c.Burst = 0.001, 2 }
	toNobody := frames("nobody", "\x01", "x")
	for name, flood := range map[string]struct {
		relay  agents.Relay
		limit  func(*agents.Config)
		frames [][]byte
	}{
		"relay":           {agents.RelayOpen, byConnection, toNobody},
		"relay of a user": {agents.RelayBound, byUser, toNobody},
		"no JSON":         {agents.RelayOpen, byConnection, frames("{")},
		"no envelope":     {agents.RelayOpen, byConnection, frames("a", "b")},
		"too large":       {agents.RelayOpen, byConnection, frames(strings.Repeat("x", 100<<10))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			cfg.Relay, cfg.Strikes = flood.relay, 5
			flood.limit(&cfg)
			r := run(t, cfg, nil)
			d := dealer(t, r, "ann")
			if e := <-d.Events(); !e.Connected {
				t.Fatal(e.Err)
			}
			if flood.relay == agents.RelayBound {
				login := fmt.Sprintf(`{"type":"Login","id":"1","from":{"type":"User","id":"ann","session":%q}}`, r.session(t, "ann"))
				if err := d.Send(t.Context(), []byte(login)); err != nil {
					t.Fatal(err)
				}
				<-d.Messages()
			}
			for range 20 {
				if err := d.Send(t.Context(), flood.frames...); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-d.Events():
			case <-time.After(patience):
				t.Error("the connection was not closed")
			}
		})
	}
}

// TestRelayToImpossibleNames: what no routing id can be is not looked up, nor remembered.
func TestRelayToImpossibleNames(t *testing.T) {
	t.Parallel()
	redis := testredis.Start(t)
	cfg := config()
	cfg.Relay, cfg.Redis = agents.RelayOpen, redis.URL
	r := run(t, cfg, nil)
	client, err := redisx.Open(redis.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	received := func() int {
		info := client.Info(t.Context(), "stats").Val()
		n, err := strconv.Atoi(regexp.MustCompile(`total_net_input_bytes:(\d+)`).FindStringSubmatch(info)[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := received()
	d := dealer(t, r, "mallory")
	const messages = 200
	for i := range messages {
		name := strconv.Itoa(i) + strings.Repeat("n", 50<<10)
		if err := d.Send(t.Context(), []byte(name), []byte{1}, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all to be dropped", func() bool { return r.Dropped() == messages })
	if n := received() - before; n > 2<<20 {
		t.Errorf("Redis was asked %d MB about names that nobody can have", n>>20)
	}
}
