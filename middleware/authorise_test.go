package middleware_test

import (
	"context"
	"errors"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
)

func TestAuthoriseRules(t *testing.T) {
	t.Parallel()
	rules := middleware.Rules{
		{Type: message.GlobalMessage, Roles: []string{"moderator"}},
		{Type: message.Who, Room: "staff-"}, // everybody may look
		{Room: "staff-", Roles: []string{"staff", "moderator"}},
		{Game: "ranked-", Roles: []string{"player"}},
	}
	room := func(id string) message.Address { return message.Address{Type: message.ChatRoom, ID: id} }
	for name, c := range map[string]struct {
		m     message.Message
		roles []string
		ok    bool
	}{
		"global without a role":   {message.Message{Type: message.GlobalMessage}, nil, false},
		"global with another":     {message.Message{Type: message.GlobalMessage}, []string{"staff"}, false},
		"global with the role":    {message.Message{Type: message.GlobalMessage}, []string{"x", "moderator"}, true},
		"join a closed room":      {message.Message{Type: message.JoinRoom, To: room("staff-1")}, []string{"player"}, false},
		"join with the role":      {message.Message{Type: message.JoinRoom, To: room("staff-1")}, []string{"staff"}, true},
		"an earlier rule decides": {message.Message{Type: message.Who, To: room("staff-1")}, nil, true},
		"another room":            {message.Message{Type: message.JoinRoom, To: room("staff")}, nil, true},
		"a user named alike":      {message.Message{Type: message.DirectMessage, To: message.Address{Type: message.User, ID: "staff-1"}}, nil, true},
		"a closed game":           {message.Message{Type: message.GameAction, Game: "ranked-7"}, nil, false},
		"with the role":           {message.Message{Type: message.GameAction, Game: "ranked-7"}, []string{"player"}, true},
		"another game":            {message.Message{Type: message.GameAction, Game: "casual"}, nil, true},
	} {
		handled := false
		err := middleware.Authorise(rules, func(context.Context, *message.Message) []string { return c.roles })(
			message.HandlerFunc(func(context.Context, *message.Message) error { handled = true; return nil }),
		).Handle(t.Context(), &c.m)
		var refused *message.Error
		if handled != c.ok || (err == nil) != c.ok || !c.ok && (!errors.As(err, &refused) || refused.Code != message.Forbidden) {
			t.Errorf("%s: handled %v, got %v", name, handled, err)
		}
	}
}
