package agents

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/observables"
	"github.com/agentmesh/agentmesh/router"
)

// Audience is whom a program's own message goes to, and what of the clients' messages concerns them.
type Audience struct {
	agent    *Agent
	history  router.History
	to       message.Address
	typ      string
	concerns func(*message.Message) bool
}

// Room is everyone in a chat room; its Messages are the chat messages to it.
func (a *Agent) Room(id string) Audience {
	return Audience{
		agent: a, history: router.History{Kind: router.Room, ID: id},
		to: message.Address{Type: message.ChatRoom, ID: id}, typ: message.ChatRoomMessage,
		concerns: func(m *message.Message) bool { return m.Type == message.ChatRoomMessage && m.To.ID == id },
	}
}

// Game is everyone in the room of a game's name; its Messages are the actions in the game.
func (a *Agent) Game(id string) Audience {
	game := a.Room(id)
	game.concerns = func(m *message.Message) bool { return m.Type == message.GameAction && m.Game == id }
	return game
}

// User is one user, on all his connections; its Messages are what he sends, of any type.
func (a *Agent) User(id string) Audience {
	return Audience{
		agent: a, history: router.History{Kind: router.Inbox, ID: id},
		to: message.Address{Type: message.User, ID: id}, typ: message.DirectMessage,
		concerns: func(m *message.Message) bool { return m.From.ID == id },
	}
}

// Everyone is every user who is connected; its Messages are those to everyone.
func (a *Agent) Everyone() Audience {
	return Audience{
		agent: a, history: router.History{Kind: router.Global}, typ: message.GlobalMessage,
		concerns: func(m *message.Message) bool { return m.Type == message.GlobalMessage },
	}
}

// Messages is what of Agent.Messages concerns the audience: what clients of this agent send, after the
// session check and before it is known whether it is accepted. Subscriptions come and go at any time; one
// that is slow misses the oldest messages. Each costs a comparison for every message of this agent's
// clients, so for very many rooms subscribe once and use observables.GroupBy.
func (s Audience) Messages() observables.Stream[*message.Message] {
	return s.agent.Messages().Pipe(observables.Filter(s.concerns))
}

// Send appends m to the audience's history and delivers it to those who are connected, wherever they
// are. It returns when that is stored. What m leaves empty is filled in: the type, the sender (this
// agent), the time. Inside a job's handler the message carries the job's identity, so that a handler that
// runs a second time sends nothing twice as long as it sends the same in the same order.
func (s Audience) Send(ctx context.Context, m *message.Message) error {
	if s.agent.router == nil {
		return ErrNoBroker
	}
	out := *m
	out.To = s.to
	if out.Type == "" {
		out.Type = s.typ
	}
	if out.From.ID == "" {
		out.From = message.Address{Type: "Agent", ID: s.agent.cfg.Name}
	}
	if out.Time.IsZero() {
		out.Time = time.Now().UTC().Truncate(time.Millisecond)
	}
	once := effect(ctx)
	if out.ID == "" {
		out.ID = once
	}
	settled := make(chan error, 1)
	s.agent.router.Publish(router.Post{To: s.history, Mark: once, Body: envelope(&out)}, func(_ message.Result, _ bool, err error) {
		settled <- err
	})
	select {
	case err := <-settled:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

type effectKey struct{}

// effects counts what one run of a job's handler has sent, for each of its turns anew.
type effects struct {
	mu  sync.Mutex
	job string
	n   int64
}

func withEffects(ctx context.Context) context.Context {
	return context.WithValue(ctx, effectKey{}, &effects{})
}

// effect names the next thing that the running job sends; empty outside of jobs.
func effect(ctx context.Context) string {
	info, inJob := jobs.InfoFrom(ctx)
	sent, counted := ctx.Value(effectKey{}).(*effects)
	if !inJob || !counted {
		return ""
	}
	sent.mu.Lock()
	defer sent.mu.Unlock()
	if sent.job != info.ID {
		sent.job, sent.n = info.ID, 0
	}
	sent.n++
	return info.ID + "." + strconv.FormatInt(sent.n, 10)
}
