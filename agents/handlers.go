package agents

import (
	"context"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/router"
)

// inboundHandler is what an agent does with a client's message: the three chat types go into a history
// and from there to who listens; every other type becomes a job.
func (a *Agent) inboundHandler() message.Handler {
	chat := message.NewMux()
	chat.Register(message.DirectMessage, message.HandlerFunc(a.direct))
	chat.Register(message.ChatRoomMessage, message.HandlerFunc(a.room))
	chat.Register(message.GlobalMessage, message.HandlerFunc(a.global))
	return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		if h, ok := chat.Lookup(m.Type); ok {
			return h.Handle(ctx, m)
		}
		return a.enqueue(ctx, m)
	})
}

func (a *Agent) direct(_ context.Context, m *message.Message) error {
	return a.publish(router.History{Kind: router.Inbox, ID: m.To.ID}, "", m)
}

func (a *Agent) room(_ context.Context, m *message.Message) error {
	return a.publish(router.History{Kind: router.Room, ID: m.To.ID}, m.From.ID, m)
}

func (a *Agent) global(_ context.Context, m *message.Message) error {
	return a.publish(router.History{Kind: router.Global}, "", m)
}

// publish appends m to a history; the Pending settles when m is stored and on its way to every agent that
// holds a listener. Only a room's answer tells the seq: it is the room's, which its members know.
func (a *Agent) publish(h router.History, author string, m *message.Message) error {
	pending := &message.Pending{}
	post := router.Post{To: h, Author: author, Mark: mark(m), Body: envelope(m)}
	a.router.Publish(post, func(result message.Result, _ bool, err error) {
		if h.Kind != router.Room {
			result = message.Result{}
		}
		pending.Done(result, err)
	})
	return pending
}

// enqueue makes a job of m, if somebody in the mesh handles its type.
func (a *Agent) enqueue(ctx context.Context, m *message.Message) error {
	queue := queueOf(m.Type)
	if _, own := a.jobHandlers.Lookup(m.Type); !own && !a.broker.HasWorkers(queue) {
		if m.Type == message.GameAction {
			return &message.Error{Code: message.NotFound, Field: "game", Message: "no agent here runs games"}
		}
		return &message.Error{Code: message.UnknownType, Field: "type", Message: "nobody here knows this type of message"}
	}
	if a.watching.metrics != nil {
		a.watching.metrics.Name(m.Type) // it is handled somewhere
	}
	pending := &message.Pending{}
	a.broker.Enqueue(queue, jobs.Job{ID: a.jobID(ctx), Key: orderKey(m), Once: mark(m), Message: m}, func(_ jobs.Receipt, err error) {
		pending.Done(message.Result{}, err)
	})
	return pending
}

// envelope is m as clients receive it. A message whose sender gave no id carries one of ours, so that a
// recipient can tell a repeated delivery.
func envelope(m *message.Message) []byte {
	if m.ID == "" {
		named := *m
		named.ID = newID()
		m = &named
	}
	return m.AppendJSON(make([]byte, 0, 256+len(m.Text)+len(m.Payload)+len(m.Extra)))
}

// mark is what makes a repeated message the same message: who sent it and the id he gave it.
func mark(m *message.Message) string {
	if m.ID == "" {
		return ""
	}
	return m.From.ID + "\x00" + m.ID
}

func queueOf(typ string) string { return "t." + typ }

// orderKey names what a job is ordered by: its game, else its addressee, else its sender.
func orderKey(m *message.Message) string {
	switch {
	case m.Game != "":
		return "g:" + m.Game
	case m.To.Type == message.ChatRoom:
		return "r:" + m.To.ID
	case m.To.Type == message.User:
		return "u:" + m.To.ID
	}
	return "u:" + m.From.ID
}
