package interop_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
	"github.com/agentmesh/agentmesh/observables"
)

// goAgent runs an agent of ours until the test ends.
func goAgent(t testing.TB) *agents.Agent {
	t.Helper()
	ready := make(chan struct{})
	a, err := agents.New(agents.Config{
		Name: "go", Redis: agents.NoBroker,
		Logger: slog.New(slog.DiscardHandler), Ready: func(agents.Addresses) { close(ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	})
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatal("the agent does not get ready")
	}
	return a
}

// clientOptions are those of a client of ours.
func (k *trust) clientOptions(key curve.SecretKey) (o zeromq.Options) {
	if k != nil {
		o.Security.CurveClient = &zeromq.CurveClient{Server: k.server, Secret: key}
	}
	return o
}

// arrivals gives what a stream publishes, one at a time.
func arrivals[T any](t testing.TB, s observables.Stream[T]) (next func() T) {
	t.Helper()
	items, sub := s.ToChan(context.Background(), 1000, nil)
	t.Cleanup(func() {
		sub.Dispose()
		<-sub.Done()
	})
	return func() (none T) {
		t.Helper()
		select {
		case v, open := <-items:
			if !open {
				t.Fatalf("the stream has ended: %v", sub.Err())
			}
			return v
		case <-time.After(patience):
			t.Fatalf("nothing within %v", patience)
		}
		return none
	}
}

// TestTwoKindsOfAgents: agents of ours and of Very Powerful Agents talk over every router.
func TestTwoKindsOfAgents(t *testing.T) {
	t.Parallel()
	for _, server := range relays {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			k := newTrust(t)
			r := server.start(t, k)
			python := vpa(t).open("python", k.clientSide(command{"do": "client", "address": r.endpoint}, k.good))
			await(t, python, "python")
			c, err := goAgent(t).Client(agents.ClientConfig{Endpoint: r.endpoint, Options: k.clientOptions(k.good)})
			if err != nil {
				t.Fatal(err)
			}
			next := arrivals(t, c.Messages())
			for _, payload := range []string{"1", "", "é"} {
				if err := c.Send("python", payload); err != nil {
					t.Fatal(err)
				}
				if got := python.message("python"); *got.Name != "go" || *got.Payload != payload {
					t.Fatalf("Python got %q from %q", *got.Payload, *got.Name)
				}
				python.to("go", payload)
				if got := next(); got.From != "python" || got.Payload != payload {
					t.Fatalf("we got %q from %q", got.Payload, got.From)
				}
			}
			if n := c.Malformed(); n != 0 {
				t.Errorf("%d messages could not be read", n)
			}
		})
	}
}

// TestTwoKindsOfNotifications: the same with the brokers.
func TestTwoKindsOfNotifications(t *testing.T) {
	t.Parallel()
	for _, server := range brokers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			k := newTrust(t)
			b := server.start(t, k)
			python := vpa(t).open("python", k.clientSide(command{"do": "notifier", "pub": b.pub, "sub": b.sub, "topics": "game"}, k.good))
			c, err := goAgent(t).NotificationClient(agents.NotificationConfig{
				Publish: b.pub, Subscribe: b.sub, Topics: []string{"news"}, Options: k.clientOptions(k.good),
			})
			if err != nil {
				t.Fatal(err)
			}
			next := arrivals(t, c.Messages())
			deadline := time.After(patience)
			for !slices.Contains(c.Audience(), "game") || !slices.Contains(c.Audience(), "news") {
				select {
				case <-deadline:
					t.Fatalf("the broker asks us for %q", c.Audience())
				case <-time.After(5 * time.Millisecond):
				}
			}
			// A Python publisher cannot tell when it is connected. What it can hear itself has been passed on.
			for heard := false; !heard; {
				python.notify("game sync", "")
				select {
				case <-python.events:
					heard = true
				case <-deadline:
					t.Fatal("Python does not hear itself")
				case <-time.After(50 * time.Millisecond):
				}
			}
			for _, payload := range []string{"1", "", "é"} {
				python.notify("newsflash", payload)
				if got := next(); got.Topic != "newsflash" || got.Payload != payload {
					t.Fatalf("we got %q on %q", got.Payload, got.Topic)
				}
				if err := c.Publish("game", payload); err != nil {
					t.Fatal(err)
				}
				got := python.await("notification", func(h happened) bool { return h.Topic != nil && *h.Topic == "game" })
				if *got.Payload != payload {
					t.Fatalf("Python got %q", *got.Payload)
				}
			}
		})
	}
}
