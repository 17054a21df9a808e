package router

import "context"

// Login attaches c to the inbox of user, to the global history and to all rooms the user is a member of. It
// replays inbox and global history as asked, calls ack, and then lets live messages through; rooms come live
// only, Join replays them. It returns when c is live. After an error c is detached, or as it was before.
func (r *Router) Login(ctx context.Context, c Conn, user string, inbox, global Resume, ack func(inbox, global Standing)) error {
	n, err := r.connection(c, user)
	if err != nil {
		return err
	}
	if err := n.take(ctx); err != nil {
		return err
	}
	defer n.pass()
	var all []*attachment
	resumes := [...]Resume{inbox, global}
	for i, h := range [...]History{{Inbox, user}, {Kind: Global}} {
		a, err := r.prepare(ctx, n, h, resumes[i])
		if err != nil {
			r.abort(n, all)
			return err
		}
		all = append(all, a)
	}
	// The inbox is registered before the rooms are read: a join elsewhere is either in the index by then,
	// or its agent finds this one and tells it.
	rooms := func() ([]*attachment, error) { return r.prepareRooms(ctx, n) }
	err = r.seam(ctx, n, all, rooms, func(all []*attachment) {
		if ack != nil {
			ack(all[0].standing, all[1].standing)
		}
		for _, a := range all {
			if a.notMember { // the index was stale; left alone it only costs the next login
				_ = r.unindex(ctx, user, a.feed.h.ID, a.token)
			}
		}
	})
	return err
}

// Bind attaches c without a replay: live messages only.
func (r *Router) Bind(ctx context.Context, c Conn, user string) error {
	return r.Login(ctx, c, user, Resume{}, Resume{}, nil)
}

// prepareRooms subscribes c to the rooms in its user's index that it is not attached to yet.
func (r *Router) prepareRooms(ctx context.Context, c *connection) ([]*attachment, error) {
	rooms, err := r.redis.HGetAll(ctx, r.key(History{Inbox, c.user}, ":rooms")).Result()
	if err != nil {
		return nil, err
	}
	var all []*attachment
	for room, token := range rooms {
		h := History{Room, room}
		if c.attachedTo(h) {
			continue
		}
		a, err := r.prepare(ctx, c, h, Resume{})
		if err != nil {
			r.abort(c, all)
			return nil, err
		}
		a.token = token
		all = append(all, a)
	}
	return all, nil
}

// unindex drops rooms from the user's index that turned out not to have him as a member.
func (r *Router) unindex(ctx context.Context, user, room, token string) error {
	return r.redis.Eval(ctx, r.scripts.unindex, []string{r.key(History{Inbox, user}, ":rooms")}, room, token).Err()
}

// abort undoes prepare.
func (r *Router) abort(c *connection, all []*attachment) {
	for _, a := range all {
		if a.isNew {
			c.unsubscribe(a.feed.h)
		} else {
			r.Detach(c.conn) // what it was to get live is held and would be lost
		}
		a.feed.unpin()
	}
}

// Members lists the members of a room and those of them who are online. The asker must be one.
func (r *Router) Members(ctx context.Context, room, asker string) (members, online []string, err error) {
	members, err = r.redis.HKeys(ctx, r.key(History{Room, room}, ":mem")).Result()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range members {
		if m == asker {
			online, err = r.online(ctx, members)
			return members, online, err
		}
	}
	return nil, nil, ErrNotMember
}
