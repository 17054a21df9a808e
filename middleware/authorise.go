package middleware

import (
	"context"
	"slices"
	"strings"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Policy decides who may do what. Rules is one.
type Policy interface {
	// Allow returns nil, or why not: a *message.Error is shown to the client. It must not block.
	Allow(m *message.Message, roles []string) error
}

// Authorise handles only what the policy allows. roles tells which roles the sender has: a Message does not
// know. For the messages of clients an agent has a hook of its own, which knows them:
//
//	config.Authorise = func(q agents.Request) error {
//		return rules.Allow(&message.Message{Type: q.Type, To: q.To, Game: q.Game}, q.Roles)
//	}
func Authorise(policy Policy, roles func(context.Context, *message.Message) []string) message.Middleware {
	return func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			if err := policy.Allow(m, roles(ctx, m)); err != nil {
				return err
			}
			return next.Handle(ctx, m)
		})
	}
}

// Rule says who may send some messages: those for which all of Type, Room and Game hold.
type Rule struct {
	Type string // of the message; empty means any
	Room string // what the room's id begins with; empty means any, and messages to no room
	Game string // what the game's id begins with; empty means any, and messages of no game

	Roles []string // who has one of them may; empty means everybody
}

func (r Rule) covers(m *message.Message) bool {
	return (r.Type == "" || r.Type == m.Type) &&
		(r.Room == "" || m.To.Type == message.ChatRoom && strings.HasPrefix(m.To.ID, r.Room)) &&
		(r.Game == "" || m.Game != "" && strings.HasPrefix(m.Game, r.Game))
}

// Rules is a Policy: the first rule that covers a message decides. What no rule covers is allowed; end with
// a Rule that has only a role to allow nothing else.
//
//	rules := middleware.Rules{
//		{Type: message.GlobalMessage, Roles: []string{"moderator"}},
//		{Room: "staff-", Roles: []string{"staff", "moderator"}},
//	}
type Rules []Rule

var _ Policy = Rules(nil)

// Allow implements Policy.
func (rules Rules) Allow(m *message.Message, roles []string) error {
	for _, r := range rules {
		if !r.covers(m) {
			continue
		}
		if len(r.Roles) == 0 || slices.ContainsFunc(roles, func(has string) bool { return slices.Contains(r.Roles, has) }) {
			return nil
		}
		return &message.Error{Code: message.Forbidden, Message: "you have no role that may do this"}
	}
	return nil
}
