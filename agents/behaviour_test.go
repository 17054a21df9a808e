package agents_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/observables"
)

func action(id, game string, payload any) envelope {
	return envelope{"type": "GameAction", "id": id, "game": game, "payload": payload}
}

// TestHandlers: a handler that panics or fails costs its own message a retry, a slow one holds up its own
// game, and what a job that ran twice has sent arrives once.
func TestHandlers(t *testing.T) {
	t.Parallel()
	var panicked, failed, twice atomic.Int32
	release := make(chan struct{})
	r := run(t, config(), func(a *agents.Agent) {
		a.Handle("GameAction", func(ctx context.Context, m *message.Message) error {
			switch m.Game {
			case "panics":
				if panicked.Add(1) == 1 {
					panic("the handler's own secret")
				}
			case "fails":
				if failed.Add(1) == 1 {
					return errors.New("the handler's own secret")
				}
			case "slow":
				select {
				case <-release:
				case <-ctx.Done():
					return ctx.Err()
				}
			case "twice":
				for i := range 3 {
					if err := a.User(m.From.ID).Send(ctx, &message.Message{Text: fmt.Sprint("effect ", i)}); err != nil {
						return err
					}
				}
				if twice.Add(1) < 3 {
					return errors.New("and now it fails")
				}
				return a.User(m.From.ID).Send(ctx, &message.Message{Text: "done"})
			}
			return a.User(m.From.ID).Send(ctx, &message.Message{Text: "handled " + m.Game})
		})
	})
	ann := r.login(t, "ann")
	for i, game := range []string{"slow", "panics", "fails", "twice", "other"} {
		ann.send(action(fmt.Sprint(i), game, nil))
	}
	var got []string
	acks := 0
	ann.next("all Acks and effects", func(e envelope) bool {
		if text := e.str("message"); text != "" {
			got = append(got, text)
		}
		if e.str("type") == "Ack" { // stored, whatever the handler makes of it
			acks++
		}
		return acks == 5 && len(got) == 7
	})
	close(release)
	ann.saying("handled slow")
	all := strings.Join(got, ",")
	for _, want := range []string{"handled panics", "handled fails", "handled other", "effect 0", "effect 1", "effect 2", "done"} {
		if strings.Count(all, want) != 1 {
			t.Errorf("got %q, want %q once", got, want)
		}
	}
	if twice.Load() != 3 {
		t.Errorf("the job ran %d times", twice.Load())
	}
}

// TestSend: what a program sends reaches its audience, and says who sent it.
func TestSend(t *testing.T) {
	t.Parallel()
	r := run(t, config(), nil)
	ann, bob := r.login(t, "ann"), r.login(t, "bob")
	ann.join("room")
	ctx := t.Context()
	for to, send := range map[string]agents.Audience{"room": r.Room("room"), "user": r.User("ann"), "all": r.Everyone()} {
		if err := send.Send(ctx, &message.Message{Text: "to " + to}); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	seen := map[string]envelope{}
	ann.next("all three", func(e envelope) bool {
		if e.str("message") != "" {
			seen[e.str("message")] = e
		}
		return len(seen) == 3
	})
	for text, typ := range map[string]string{"to room": "ChatRoomMessage", "to user": "DirectMessage", "to all": "GlobalMessage"} {
		e := seen[text]
		from, _ := e["from"].(map[string]any)
		if e.str("type") != typ || from["type"] != "Agent" || from["id"] != "under-test" || e.num("seq") != 1 || e.str("id") == "" || e.str("time") == "" {
			t.Errorf("%s: got %v", text, e)
		}
	}
	bob.next("the message to all, and nothing before", func(e envelope) bool {
		if text := e.str("message"); text != "" && text != "to all" {
			t.Errorf("bob got %v", e)
		}
		return e.str("message") == "to all"
	})
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.User("ann").Send(gone, &message.Message{Text: "late"}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestStreams: both views show what passes, no session, and never slow the agent.
func TestStreams(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var raw, checked []string
	var own *agents.Agent
	stuck := make(chan struct{})
	r := run(t, config(), func(a *agents.Agent) { own = a })
	note := func(to *[]string) func(*message.Message) {
		return func(m *message.Message) {
			mu.Lock()
			defer mu.Unlock()
			*to = append(*to, fmt.Sprintf("%s from %s: %s %+v", m.Type, m.From.ID, m.Text, *m))
		}
	}
	own.Inbound().Subscribe(t.Context(), note(&raw), nil, nil)
	own.Messages().Subscribe(t.Context(), note(&checked), nil, nil)
	for _, s := range []observables.Stream[*message.Message]{own.Inbound(), own.Messages()} {
		s.Subscribe(t.Context(), func(*message.Message) { <-stuck }, nil, nil)
		s.Subscribe(t.Context(), func(*message.Message) { panic("a subscriber's own fault") }, func(error) {}, nil)
	}
	defer close(stuck)
	ann, eve := r.login(t, "ann"), r.connect(t, "ann", "wrong")
	eve.direct("1", "ann", "a lie")
	eve.next("Logout", func(e envelope) bool { return e.str("type") == "Logout" })
	const n = 3000 // more than a stuck subscriber's buffer holds
	for i := range n {
		ann.direct(fmt.Sprint(i), "ann", fmt.Sprint("number ", i))
	}
	for i := range n {
		ann.saying(fmt.Sprint("number ", i))
	}
	eventually(t, "both views have seen the messages", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(strings.Join(raw, "\n"), "number 2999") && strings.Contains(strings.Join(checked, "\n"), "number 2999")
	})
	mu.Lock()
	defer mu.Unlock()
	before, after := strings.Join(raw, "\n"), strings.Join(checked, "\n")
	if !strings.Contains(before, "a lie") || strings.Contains(after, "a lie") {
		t.Error("a message with a wrong session belongs in Inbound, and only there")
	}
	if !strings.Contains(after, "DirectMessage from ann: number 0") {
		t.Error("Messages does not show the first message")
	}
	for _, secret := range []string{ann.token, "wrong"} {
		if strings.Contains(before+after+r.logs.String(), secret) {
			t.Errorf("a view or a log shows the session %q", secret)
		}
	}
}

// TestAuthorise: the hook sees who wants what, its refusal is answered, and its mistakes stay its own.
func TestAuthorise(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Authorise = func(q agents.Request) error {
		switch {
		case q.User == "panic":
			panic("the hook's own secret")
		case q.User == "plain":
			return errors.New("the hook's own secret")
		case q.Type == "GlobalMessage" || (q.Type == "JoinRoom" && q.To.ID == "staff"):
			for _, role := range q.Roles {
				if role == "speaker" {
					return nil
				}
			}
			return &message.Error{Code: message.Forbidden, Message: "only speakers"}
		}
		return nil
	}
	r := run(t, cfg, nil)
	ann, bob := r.login(t, "ann", "speaker", "other"), r.login(t, "bob")
	global := envelope{"type": "GlobalMessage", "id": "g", "message": "hear me"}
	staff := envelope{"type": "JoinRoom", "id": "s", "to": map[string]string{"type": "ChatRoom", "id": "staff"}}
	ann.send(global)
	ann.ack("g")
	ann.send(staff)
	ann.ack("s")
	for _, e := range []envelope{global, staff} {
		bob.send(e)
		bob.refused(e.str("id"), "Forbidden")
	}
	for user, code := range map[string]string{"panic": "Internal", "plain": "Forbidden"} {
		c := r.login(t, user)
		for i := range 300 { // more than the window: each is released
			c.direct(fmt.Sprint(i), "ann", "x")
		}
		for i := range 300 {
			e := c.refused(fmt.Sprint(i), code)
			if strings.Contains(e.str("message"), "secret") {
				t.Errorf("%s: the error shows internals: %v", user, e)
			}
		}
		for _, e := range []envelope{staff, {"type": "Who", "id": "w", "to": map[string]string{"type": "ChatRoom", "id": "staff"}}} {
			c.send(e)
			c.refused(e.str("id"), code)
		}
	}
}

// TestBusyDrain: clients that never stop sending do not use up the time for the drain, and what was
// acknowledged is stored.
func TestBusyDrain(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.DrainWithin = time.Minute
	r := run(t, cfg, nil)
	var clients []*client
	var senders sync.WaitGroup
	for i := range 4 {
		c := r.login(t, fmt.Sprint("user", i))
		clients = append(clients, c)
		senders.Go(func() {
			for n := 0; ; n++ {
				body := fmt.Sprintf(`{"type":"DirectMessage","id":"%d","to":{"type":"User","id":"nobody"},"message":"x"}`, n)
				if c.Send(context.Background(), []byte(body)) != nil {
					return
				}
			}
		})
	}
	for _, c := range clients {
		c.ack("100")
	}
	start := time.Now()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > cfg.DrainWithin/2 {
		t.Errorf("the drain took %v", took)
	}
	for _, c := range clients {
		c.next("Logout", func(e envelope) bool { return e.str("type") == "Logout" && e.str("reason") == "Drain" })
		<-c.Done()
		if c.CloseCode() != websocket.GoingAway {
			t.Errorf("closed with %d", c.CloseCode())
		}
		_ = c.Close()
	}
	senders.Wait()
	if log := r.logs.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the drain logged errors: %s", log)
	}
}

// TestBindTimeout: a connection that shows no session is cut off, also when it talks; one that did is not.
func TestBindTimeout(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.BindTimeout = 400 * time.Millisecond
	r := run(t, cfg, nil)
	ann := r.login(t, "ann")
	for name, say := range map[string]string{"silent": "", "talking": `{"type":"Ping"}`} {
		c := r.connect(t, name, "")
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for open := true; open; {
			select {
			case <-c.Done():
				open = false
			case <-tick.C:
				if say != "" {
					_ = c.Send(context.Background(), []byte(say))
				}
			case <-time.After(patience):
				t.Fatalf("%s: the connection lives on", name)
			}
		}
		if c.CloseCode() != 4408 {
			t.Errorf("%s: closed with %d", name, c.CloseCode())
		}
	}
	ann.direct("1", "ann", "still here")
	ann.saying("still here")
}
