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
	// He has his answer by now: what fails from here on costs other connections the room until they log in.
	if err := errors.Join(r.follow(ctx, user, room), r.tell(ctx, joinedType, user, room)); err != nil && ctx.Err() == nil {
		r.log.Warn("router: not all connections could follow their user into a room", "error", err)
	}
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
	for range 3 {
		a, err := r.prepare(ctx, c, h, resume)
		if err != nil {
			return err
		}
		acked := false
		err = r.seam(ctx, c, []*attachment{a}, nil, func([]*attachment) {
			if !a.notMember && !a.sub.gone.Load() {
				acked = true
				if ack != nil {
					ack(a.standing)
				}
			}
		})
		if err != nil || acked {
			return err
		}
		if a.notMember {
			break // he left meanwhile
		}
		// A leave that was overtaken by this join took the sub away. It looks again too; this is faster.
	}
	return ErrNotMember
}

// follow attaches the local connections of user that are not attached to the room yet.
func (r *Router) follow(ctx context.Context, user, room string) error {
	h := History{Room, room}
	var errs []error
	for _, c := range r.connectionsOf(user) {
		if c.attachedTo(h) {
			continue
		}
		err := r.enter(ctx, c, h, Resume{}, nil)
		if !errors.Is(err, ErrNotMember) && !errors.Is(err, ErrDetached) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Leave ends the membership of user, wherever he is connected. Leaving a room one is not in is no error, and
// after an error Leave may be called again.
func (r *Router) Leave(ctx context.Context, user, room string) error {
	index, h := r.key(History{Inbox, user}, ":rooms"), History{Room, room}
	token := r.redis.HGet(ctx, index, room)
	left, err := r.redis.HDel(ctx, r.key(h, ":mem"), user).Result()
	if err != nil {
		return err
	}
	if err := r.unfollow(ctx, user, room); err != nil {
		return err
	}
	err = r.tell(ctx, leftType, user, room)
	if left > 0 {
		r.Volatile(h, presence(room, "left", user), nil)
	}
	if err == nil && token.Val() != "" {
		return r.unindex(ctx, user, room, token.Val())
	}
	return err
}

// unfollow takes the local connections of user out of the room. He may have joined again between leaving
// and this, so it looks again: an attach that comes later than the look is not undone.
func (r *Router) unfollow(ctx context.Context, user, room string) error {
	for _, c := range r.connectionsOf(user) {
		c.unsubscribe(History{Room, room})
	}
	member, err := r.member(ctx, user, room)
	if member {
		return r.follow(ctx, user, room)
	}
	return err
}

func (r *Router) member(ctx context.Context, user, room string) (bool, error) {
	return r.redis.HExists(ctx, r.key(History{Room, room}, ":mem"), user).Result()
}

// tell lets the agents that hold connections of user know that he joined or left, and returns when they do.
func (r *Router) tell(ctx context.Context, kind, user, room string) error {
	m := &message.Message{
		Type: kind, From: message.Address{Type: message.User, ID: user}, To: History{Room, room}.address(),
	}
	told := make(chan error, 1)
	r.enqueue(&post{
		history: History{Inbox, user}, message: m,
		done: func(_ message.Result, _ bool, err error) { told <- err },
	})
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// heard is what an agent does that was told: it asks the room, which is the truth, and follows it.
func (r *Router) heard(ctx context.Context, m *message.Message) error {
	user, room := m.From.ID, m.To.ID
	if m.Type == joinedType {
		return r.follow(ctx, user, room) // attaching checks membership
	}
	member, err := r.member(ctx, user, room)
	if err == nil && !member {
		err = r.unfollow(ctx, user, room)
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
		_ = e.Encode(p) //nolint:errchkjson // a string always encodes
		b.Truncate(b.Len() - 1)
	}
	return b.Bytes()
}
