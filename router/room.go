package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Join makes user a member of room; first says that he was none. All his connections attach: c, which may be
// nil, with a replay as asked and at most from his first join on, then ack; the others live only, those on
// other agents too. Members are told when he is new.
func (r *Router) Join(ctx context.Context, user, room string, c Conn, resume Resume, ack func(Standing)) (first bool, err error) {
	index, h := r.key(History{Inbox, user}, ":rooms"), History{Room, room}
	// The index is written before and after: a login that finds it stale in between drops only the entry
	// that it has read.
	if err := r.redis.HSet(ctx, index, room, r.newEpoch()).Err(); err != nil {
		return false, err
	}
	joined, err := r.redis.Eval(ctx, r.scripts.join, []string{r.key(h, ":h"), r.key(h, ":mem")}, user, r.newEpoch()).Int()
	if err != nil {
		return false, err
	}
	if err := r.redis.HSet(ctx, index, room, r.newEpoch()).Err(); err != nil {
		return false, err
	}
	first = joined == 1
	if c != nil {
		n, err := r.connection(c, user)
		if err != nil {
			return first, err
		}
		err = r.enter(ctx, n, h, resume, ack)
		if err != nil {
			return first, err
		}
	}
	r.follow(ctx, user, room)
	r.tell(joinedType, user, room)
	if first {
		r.Volatile(h, presence(room, "joined", user), nil)
	}
	return first, nil
}

// enter attaches one connection to a room.
func (r *Router) enter(ctx context.Context, c *connection, h History, resume Resume, ack func(Standing)) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.pass()
	a, err := r.prepare(ctx, c, h, resume)
	if err != nil {
		return err
	}
	err = r.seam(ctx, c, []*attachment{a}, nil, func([]*attachment) {
		if ack != nil && !a.notMember {
			ack(a.standing)
		}
	})
	if err == nil && a.notMember {
		return ErrNotMember // he left meanwhile
	}
	return err
}

// follow attaches the local connections of user that are not attached to the room yet.
func (r *Router) follow(ctx context.Context, user, room string) {
	h := History{Room, room}
	for _, c := range r.connectionsOf(user) {
		if c.attachedTo(h) {
			continue
		}
		err := r.enter(ctx, c, h, Resume{}, nil)
		if err != nil && !errors.Is(err, ErrNotMember) && !errors.Is(err, ErrDetached) && ctx.Err() == nil {
			r.log.Warn("router: a connection could not follow its user into a room", "error", err)
		}
	}
}

// Leave ends the membership of user, wherever he is connected. Leaving a room one is not in is no error.
func (r *Router) Leave(ctx context.Context, user, room string) error {
	index, h := r.key(History{Inbox, user}, ":rooms"), History{Room, room}
	token := r.redis.HGet(ctx, index, room)
	left, err := r.redis.HDel(ctx, r.key(h, ":mem"), user).Result()
	if err != nil {
		return err
	}
	r.unfollow(user, room)
	r.tell(leftType, user, room)
	if left > 0 {
		r.Volatile(h, presence(room, "left", user), nil)
	}
	if token.Val() != "" {
		return r.unindex(ctx, user, room, token.Val())
	}
	return nil
}

func (r *Router) unfollow(user, room string) {
	for _, c := range r.connectionsOf(user) {
		c.unsubscribe(History{Room, room})
	}
}

// tell lets the agents that hold connections of user know that he joined or left.
func (r *Router) tell(kind, user, room string) {
	m := &message.Message{
		Type: kind, From: message.Address{Type: message.User, ID: user}, To: History{Room, room}.address(),
	}
	r.enqueue(&post{history: History{Inbox, user}, message: m})
}

// heard is what an agent does that was told: it asks the room, which is the truth, and follows it.
func (r *Router) heard(ctx context.Context, m *message.Message) error {
	user, room := m.From.ID, m.To.ID
	if m.Type == joinedType {
		r.follow(ctx, user, room) // attaching checks membership
		return nil
	}
	member, err := r.redis.HExists(ctx, r.key(History{Room, room}, ":mem"), user).Result()
	if err == nil && !member {
		r.unfollow(user, room)
	}
	return err
}

// presence is the envelope that tells members who came or went.
func presence(room, change, user string) []byte {
	return object(`{"type":"Presence","to":{"type":"ChatRoom","id":`, room, `},"`+change+`":[`, user, `]}`)
}

// object writes JSON of alternating fixed text and strings.
func object(parts ...string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for i, p := range parts {
		if i%2 == 0 {
			b.WriteString(p)
			continue
		}
		_ = e.Encode(p) // a string always encodes
		b.Truncate(b.Len() - 1)
	}
	return b.Bytes()
}
