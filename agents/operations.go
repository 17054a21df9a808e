package agents

import (
	"context"
	"errors"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/router"
)

// operation is something slow that a client asked for: it speaks with Redis while the client's other
// messages wait. It releases the request when it is done.
type operation func(ctx context.Context, c *client, r request)

// maxOperations bounds the operations that run at the same time, however many clients come at once.
const maxOperations = 256

// operation tells which slow operation r needs; nil if none. The caller holds c.mu.
func (a *Agent) operation(c *client, r request) operation {
	switch {
	case r.attach:
		return a.attach
	case r.err != nil || r.failed != nil || r.relay != nil || r.m.Type == message.Ping || !r.verdict.Valid:
		return nil
	case r.m.From.ID != "" && r.m.From.ID != r.verdict.Session.User, c.bound && c.session.User != r.verdict.Session.User:
		return nil
	case r.m.Type == message.Login:
		return a.login
	case r.m.Type == message.Logout:
		return a.logout
	case !c.bound:
		return a.bindFirst
	}
	switch r.m.Type {
	case message.JoinRoom:
		return a.join
	case message.LeaveRoom:
		return a.leaveRoom
	case message.Who:
		return a.who
	}
	return nil
}

// admit waits for a free place among the running operations.
func (a *Agent) admit(ctx context.Context) bool {
	select {
	case a.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *Agent) leave() { <-a.places }

// attach connects a client that showed its session when the connection was made.
func (a *Agent) attach(ctx context.Context, c *client, r request) { a.bindNow(ctx, c, r) }

// bindFirst binds a connection by its first message, then processes that.
func (a *Agent) bindFirst(ctx context.Context, c *client, r request) {
	if !a.bindNow(ctx, c, r) {
		c.link.Release(1)
		return
	}
	c.mu.Lock()
	next := a.operation(c, r)
	c.mu.Unlock()
	if next == nil {
		a.process(ctx, c, r)
		return
	}
	next(ctx, c, r)
}

func (a *Agent) bindNow(ctx context.Context, c *client, r request) bool {
	c.bind(r.verdict)
	if !a.settled(c, r) {
		return false
	}
	a.claimName(ctx, c, r)
	if err := a.router.Bind(ctx, c, r.verdict.Session.User); err != nil {
		c.unbind()
		a.router.Detach(c) // or it could only be bound to the same user again
		a.answerError(c, r.m.ID, a.public(err))
		return false
	}
	return a.stillOpen(c)
}

// settled reports whether the session is still good after bind: it may have been revoked between the
// check and the moment from which revocations find the client.
func (a *Agent) settled(c *client, r request) bool {
	if a.recent.has(r.verdict.Session.Digest) {
		c.logout(message.SessionRevoked, closeSession)
		return false
	}
	return true
}

// claimName makes the client known to the mesh by its routing id, if that is its user's.
func (a *Agent) claimName(ctx context.Context, c *client, r request) {
	if a.cfg.Relay == RelayBound && a.mesh != nil {
		a.mesh.own(ctx, c, r.verdict.Session.User)
	}
}

// stillOpen undoes the attachment of a client that went away while it was being made.
func (a *Agent) stillOpen(c *client) bool {
	if c.isClosed() {
		a.router.Detach(c)
		return false
	}
	return true
}

func (a *Agent) login(ctx context.Context, c *client, r request) {
	defer c.link.Release(1)
	if err := a.limits.allow(ctx, c, r); err != nil {
		a.answerError(c, r.m.ID, a.public(err))
		return
	}
	_, again := c.identity()
	c.bind(r.verdict)
	if !a.settled(c, r) {
		return
	}
	a.claimName(ctx, c, r)
	err := a.router.Login(ctx, c, r.verdict.Session.User, resume(r.m.Since), resume(r.m.SinceGlobal),
		func(inbox, global router.Standing) {
			everyone := message.Standing(global)
			_ = c.Send(message.AppendStandingAck(nil, r.m.ID, message.Standing(inbox), &everyone))
		})
	if err != nil {
		if !again { // who was bound before stays so
			c.unbind()
			a.router.Detach(c)
		}
		a.operationFailed(c, r, err)
	}
}

// operationFailed answers with what went wrong. A client that does not read its replay is closed.
func (a *Agent) operationFailed(c *client, r request, err error) {
	switch {
	case errors.Is(err, router.ErrSlow):
		c.drop(closeSlow, "the replay was not read in time")
	case errors.Is(err, router.ErrDetached): // it has gone
	default:
		a.answerError(c, r.m.ID, a.public(err))
	}
}

func (a *Agent) logout(_ context.Context, c *client, r request) {
	defer c.link.Release(1)
	if r.m.ID != "" {
		_ = c.Send(message.AppendAck(nil, r.m.ID, message.Result{}))
	}
	c.logout(message.Requested, closeNormal)
}

func (a *Agent) join(ctx context.Context, c *client, r request) {
	defer c.link.Release(1)
	if err := a.permit(ctx, c, r); err != nil {
		a.answerError(c, r.m.ID, a.public(err))
		return
	}
	_, err := a.router.Join(ctx, r.verdict.Session.User, r.m.To.ID, c, resume(r.m.Since), func(s router.Standing) {
		_ = c.Send(message.AppendStandingAck(nil, r.m.ID, message.Standing(s), nil))
	})
	if err != nil {
		a.operationFailed(c, r, err)
	}
}

func (a *Agent) leaveRoom(ctx context.Context, c *client, r request) {
	defer c.link.Release(1)
	if err := a.limits.allow(ctx, c, r); err != nil {
		a.answerError(c, r.m.ID, a.public(err))
		return
	}
	if err := a.router.Leave(ctx, r.verdict.Session.User, r.m.To.ID); err != nil {
		a.answerError(c, r.m.ID, a.public(err))
		return
	}
	_ = c.Send(message.AppendAck(nil, r.m.ID, message.Result{}))
}

func (a *Agent) who(ctx context.Context, c *client, r request) {
	defer c.link.Release(1)
	if err := a.permit(ctx, c, r); err != nil {
		a.answerError(c, r.m.ID, a.public(err))
		return
	}
	members, online, err := a.router.Members(ctx, r.m.To.ID, r.verdict.Session.User)
	if err != nil {
		a.answerError(c, r.m.ID, a.public(err))
		return
	}
	_ = c.Send(message.AppendPresence(nil, r.m.To.ID, nil, nil, members, online))
}

func resume(p message.Position) router.Resume {
	return router.Resume{Since: p, Epoch: p.Epoch}
}
