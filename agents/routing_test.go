package agents_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
	"github.com/agentmesh/agentmesh/observables"
)

// failures is a subscription to the errors of a stream.
func failures[T any](tb testing.TB, s observables.Stream[T]) (next func() error) {
	tb.Helper()
	failed := make(chan error, 100)
	sub := s.Subscribe(context.Background(), nil, func(err error) { failed <- err }, nil)
	tb.Cleanup(func() {
		sub.Dispose()
		<-sub.Done()
	})
	return func() error {
		tb.Helper()
		select {
		case err := <-failed:
			return err
		case <-tb.Context().Done():
			return nil
		}
	}
}

func router(tb testing.TB, a *running, s zeromq.Security) string {
	tb.Helper()
	return must(a.Router(zeromq.RelayConfig{Bind: []string{"tcp://127.0.0.1:0"}, Security: s}))(tb).Addrs()[0]
}

// TestClients: clients of three agents speak by name through a fourth's router; the agent's own name is the
// default.
func TestClients(t *testing.T) {
	t.Parallel()
	at := router(t, loner(t, "router"), zeromq.Security{})
	names := []string{"ann", "bob", "grüße"}
	clients := map[string]*agents.RoutingClient{}
	inboxes := map[string]func() agents.ClientMessage{}
	for _, name := range names {
		clients[name] = must(loner(t, name).Client(agents.ClientConfig{Endpoint: at}))(t)
		inboxes[name] = tap(t, clients[name].Messages())
	}
	for _, name := range names { // a router knows a client when it has heard of it
		if err := clients[name].Send(name, "myself"); err != nil {
			t.Fatal(err)
		}
		if got := inboxes[name](); got != (agents.ClientMessage{From: name, Payload: "myself"}) {
			t.Errorf("%s got %+v from himself", name, got)
		}
	}
	for _, from := range names {
		for _, to := range names {
			if err := clients[from].Send(to, "from "+from); err != nil {
				t.Fatal(err)
			}
			if got := inboxes[to](); got != (agents.ClientMessage{From: from, Payload: "from " + from}) {
				t.Errorf("%s got %+v from %s", to, got, from)
			}
		}
	}
	ann := clients["ann"]
	for what, err := range map[string]error{
		"payload":  ann.Send("bob", "\xff"),
		"name":     ann.Send("\xff", "x"),
		"no name":  ann.Send("", "x"),
		"too long": ann.Send(strings.Repeat("x", 256), "x"),
	} {
		if err == nil {
			t.Errorf("Send with a bad %s returned no error", what)
		}
	}
	ann.Close()
	if err := ann.Send("bob", "x"); !errors.Is(err, zeromq.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

// TestBadMessageCostsItself: what is no message of a client is counted and reported, and the next one
// arrives.
func TestBadMessageCostsItself(t *testing.T) {
	t.Parallel()
	a := loner(t, "survivor")
	at := router(t, a, zeromq.Security{})
	c := must(a.Client(agents.ClientConfig{Endpoint: at}))(t)
	failed, next, again := failures(t, c.Messages()), tap(t, c.Messages()), tap(t, c.Messages())
	bad := must(a.Connect(agents.SocketConfig{Type: zeromq.DEALER, Endpoint: at, Options: zeromq.Options{RoutingID: "bad"}}))(t)
	if err := c.Send("survivor", "here"); err != nil {
		t.Fatal(err)
	}
	if next().Payload != "here" || again().Payload != "here" {
		t.Fatal("not reachable")
	}
	foreign := [][]string{
		{"survivor"}, {"survivor", "\x01"}, {"survivor", "\x01", "a", "b"}, {"survivor", "\x00", "a notification"},
		{"survivor", "", "no kind"}, {"survivor", "\x02", "unknown"}, {"survivor", "\x01\x01", "257"},
		{"survivor", "\x01", "\xff not UTF-8"},
	}
	for _, f := range foreign {
		if err := bad.Send(frames(f...)...); err != nil {
			t.Fatal(err)
		}
		var item *observables.ItemError
		if err := failed(); !errors.Is(err, agents.ErrForeign) || !errors.As(err, &item) {
			t.Errorf("%q is reported as %v", f, err)
		}
	}
	if err := bad.Send(frames("survivor", "\x00\x00\x01", "fine")...); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != (agents.ClientMessage{From: "bad", Payload: "fine"}) || again() != got {
		t.Errorf("after the bad ones came %+v", got)
	}
	if n := c.Malformed(); n != uint64(len(foreign)) {
		t.Errorf("%d counted, want %d", n, len(foreign))
	}
}

// TestPythonClient: a pyzmq client that speaks as Python does exchanges messages with ours through our
// router, and sends two that cost themselves.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	a := loner(t, "go")
	at := router(t, a, zeromq.Security{})
	c := must(a.Client(agents.ClientConfig{Endpoint: at}))(t)
	next := tap(t, c.Messages())
	_ = c.Send("go", "known")
	next() // the router knows us
	p := startPython(t, "client", at)
	if got := next(); got != (agents.ClientMessage{From: "python", Payload: "grüße"}) {
		t.Errorf("got %+v", got)
	}
	for i := range 2 {
		text := fmt.Sprintf("message %d ☃", i)
		if err := c.Send("python", text); err != nil {
			t.Fatal(err)
		}
		p.says(t, "go "+text)
		if got := next(); got != (agents.ClientMessage{From: "python", Payload: "re: " + text}) {
			t.Errorf("got %+v", got)
		}
	}
	if c.Malformed() != 2 {
		t.Errorf("%d malformed, want 2", c.Malformed())
	}
}

// TestNotificationClients: each client hears what is published under its prefixes, once, and what it ignores no
// longer.
func TestNotificationClients(t *testing.T) {
	t.Parallel()
	a := loner(t, "broker")
	broker := must(a.NotificationBroker(zeromq.BrokerConfig{Pub: []string{"tcp://127.0.0.1:0"}, Sub: []string{"tcp://127.0.0.1:0"}}))(t)
	pub, sub := broker.Addrs()
	open := func(name string, topics ...string) *agents.NotificationClient {
		t.Helper()
		return must(loner(t, name).NotificationClient(agents.NotificationConfig{Publish: pub[0], Subscribe: sub[0], Topics: topics}))(t)
	}
	both, all := open("both", "game.", "game.1", "chat"), open("all")
	speaker := must(a.NotificationClient(agents.NotificationConfig{Publish: pub[0]}))(t)
	some, every := tap(t, both.Messages()), tap(t, all.Messages())
	eventually(t, "the speaker knows the audience", func() bool { return len(speaker.Audience()) == 4 })
	for _, topic := range []string{"game.1", "other", "gam", "chat", ""} {
		if err := speaker.Publish(topic, "about "+topic); err != nil {
			t.Fatal(err)
		}
		want := agents.Notification{Topic: topic, Payload: "about " + topic}
		if got := every(); got != want {
			t.Errorf("who hears all heard %+v, want %+v", got, want)
		}
		if topic == "game.1" || topic == "chat" {
			if got := some(); got != want {
				t.Errorf("who listens to some heard %+v, want %+v", got, want)
			}
		}
	}
	if err := errors.Join(both.Listen("late"), both.Ignore("chat")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the speaker knows the new audience", func() bool {
		topics := strings.Join(speaker.Audience(), " ")
		return strings.Contains(topics, "late") && !strings.Contains(topics, "chat")
	})
	if err := errors.Join(speaker.Publish("chat", "unheard"), speaker.Publish("late", "heard")); err != nil {
		t.Fatal(err)
	}
	if got := some(); got.Topic != "late" {
		t.Errorf("heard %+v", got)
	}
	listener := must(a.NotificationClient(agents.NotificationConfig{Subscribe: sub[0]}))(t)
	for what, err := range map[string]error{
		"publishing without Publish":  listener.Publish("x", "y"),
		"listening without Subscribe": errors.Join(speaker.Listen("x"), speaker.Ignore("x")),
		"payload that is not UTF-8":   speaker.Publish("x", "\xff"),
	} {
		if err == nil {
			t.Errorf("%s returned no error", what)
		}
	}
	if listener.Audience() != nil || listener.Dropped() != 0 || speaker.Dropped() != 0 {
		t.Error("nobody publishes too fast here")
	}
	nothing := speaker.Messages().Subscribe(t.Context(), nil, nil, nil)
	<-nothing.Done()
	if !errors.Is(nothing.Err(), zeromq.ErrUnsupported) {
		t.Errorf("the messages of who does not listen end with %v", nothing.Err())
	}
}

// TestPythonNotifications: pyzmq hears what Go publishes through our broker, and Go hears what pyzmq does.
func TestPythonNotifications(t *testing.T) {
	t.Parallel()
	a := loner(t, "broker")
	broker := must(a.NotificationBroker(zeromq.BrokerConfig{Pub: []string{"tcp://127.0.0.1:0"}, Sub: []string{"tcp://127.0.0.1:0"}}))(t)
	pub, sub := broker.Addrs()
	c := must(a.NotificationClient(agents.NotificationConfig{Publish: pub[0], Subscribe: sub[0], Topics: []string{"python"}}))(t)
	heard, failed := tap(t, c.Messages()), failures(t, c.Messages())
	p := startPython(t, "notifications", pub[0], sub[0])
	p.says(t, "listening")
	eventually(t, "the broker has both listeners", func() bool { return len(c.Audience()) == 2 && broker.Stats().Publishers == 2 })
	if err := errors.Join(c.Publish("gam", "not asked for"), c.Publish("game/1", "hello ☃")); err != nil {
		t.Fatal(err)
	}
	p.says(t, "game/1 00 hello ☃")
	if _, err := io.WriteString(p.stdin, "go on\n"); err != nil {
		t.Fatal(err)
	}
	if got := heard(); got != (agents.Notification{Topic: "python.fine", Payload: "heard you"}) {
		t.Errorf("heard %+v", got)
	}
	if err := failed(); !errors.Is(err, agents.ErrForeign) || c.Malformed() != 1 {
		t.Errorf("%d malformed: %v", c.Malformed(), err)
	}
}

// TestCurveForAll: router, client, broker and notifications over CURVE, with keys that are trusted.
func TestCurveForAll(t *testing.T) {
	t.Parallel()
	public, secret := curve.GenerateKeyPair()
	annPublic, annSecret := curve.GenerateKeyPair()
	server := zeromq.Security{CurveServer: &zeromq.CurveServer{
		Secret: secret,
		Authorise: func(_ context.Context, r curve.Request) (string, error) {
			if r.ClientKey != annPublic {
				return "", errors.New("a stranger")
			}
			return "ann", nil
		},
	}}
	client := func(secret curve.SecretKey) zeromq.Options {
		return zeromq.Options{Security: zeromq.Security{CurveClient: &zeromq.CurveClient{Server: public, Secret: secret}}}
	}
	a := loner(t, "ann")
	at := router(t, a, server)
	ann := must(a.Client(agents.ClientConfig{Endpoint: at, Options: client(annSecret)}))(t)
	next := tap(t, ann.Messages())
	if err := ann.Send("ann", "secret"); err != nil {
		t.Fatal(err)
	}
	if got := next(); got.Payload != "secret" {
		t.Errorf("got %+v", got)
	}
	stranger := must(a.Client(agents.ClientConfig{Name: "stranger", Endpoint: at, Options: client(curve.SecretKey{})}))(t)
	if e := tap(t, stranger.Events())(); e.Kind != zeromq.Refused {
		t.Errorf("the stranger saw %v", e.Kind)
	}

	broker := must(a.NotificationBroker(zeromq.BrokerConfig{
		Pub: []string{"tcp://127.0.0.1:0"}, Sub: []string{"tcp://127.0.0.1:0"}, Security: server,
	}))(t)
	pub, sub := broker.Addrs()
	news := must(a.NotificationClient(agents.NotificationConfig{Publish: pub[0], Subscribe: sub[0], Options: client(annSecret)}))(t)
	heard := tap(t, news.Messages())
	eventually(t, "somebody listens", func() bool { return len(news.Audience()) == 1 })
	if err := news.Publish("topic", "secret"); err != nil {
		t.Fatal(err)
	}
	if got := heard(); got != (agents.Notification{Topic: "topic", Payload: "secret"}) {
		t.Errorf("heard %+v", got)
	}
}
