package agents

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/middleware/session"
	"github.com/agentmesh/agentmesh/observables"
	"github.com/agentmesh/agentmesh/router"
)

// arrival is one envelope as a socket delivered it.
type arrival struct {
	client   *client
	body     []byte
	tooLarge bool
	foreign  bool     // frames that are no envelope
	relay    [][]byte // a message for another client
	silent   bool     // the client does not speak JSON: it is not told of what is wrong with its frames
}

// request is a decoded envelope on its way to a handler.
type request struct {
	client *client
	m      *message.Message
	digest string         // of the session it is checked by; empty: none
	err    *message.Error // it could not be decoded
	relay  [][]byte       // frames to relay instead of a message
	silent bool           // an error is dropped and counted instead of answered
	attach bool           // no client's message: the connection showed a session when it was made

	verdict session.Verdict
	failed  error // the session could not be checked
}

type checker = observables.Checker[request, string, uint64, session.Verdict]

// maxRefusal bounds how long the verdict about a session that is not valid is reused.
const maxRefusal = time.Second

// newChecker makes the session check of one socket: sessions that are unknown at a moment are looked up
// together, each once; the order of each client is kept; verdicts are reused for SessionTTL and dropped at
// once when a session is revoked.
func (a *Agent) newChecker() (*checker, error) {
	return observables.NewChecker(observables.CheckConfig[request, string, uint64, session.Verdict]{
		Key:   func(r request) string { return r.digest },
		Order: func(r request) uint64 { return r.client.key },
		Known: func(digest string) (session.Verdict, bool) {
			return session.Verdict{}, digest == "" // nothing to look up, and a Ping must not wait for Redis
		},
		LookupBatch: a.sessions.VerifyAll,
		TTL: func(v session.Verdict, err error) time.Duration {
			switch {
			case err != nil || a.cfg.SessionTTL < 0:
				return 0
			case !v.Valid:
				return maxRefusal
			}
			return min(a.cfg.SessionTTL, v.Left)
		},
		Timeout: 3 * time.Second,
	})
}

// receive is the way of one socket's messages through the agent: decode, check the session, process.
func receive[T any](ctx context.Context, a *Agent, socket observables.Stream[T], check *checker, arrived func(T) arrival) *observables.Subscription {
	stream := observables.Pipe3(socket, observables.Map(arrived), observables.Map(func(in arrival) request { return a.decode(ctx, in) }), check.Op())
	return stream.Subscribe(ctx, func(c observables.Checked[request, session.Verdict]) {
		r := c.Item
		r.verdict, r.failed = c.Verdict, c.Err
		r.client.take(ctx, r)
	}, func(err error) {
		a.log.Error("a message could not be processed", "error", err)
	}, nil)
}

// decode turns what arrived into a request. It runs on the socket's one decoding goroutine, so that each
// client's last session is known to the messages behind it.
func (a *Agent) decode(ctx context.Context, in arrival) request {
	c := in.client
	switch {
	case in.tooLarge:
		return a.unreadable(ctx, c, false, &message.Error{Code: message.TooLarge, Message: "the message is larger than this agent takes"})
	case in.relay != nil:
		return a.relayed(ctx, c, in.relay)
	case in.foreign:
		return a.unreadable(ctx, c, in.silent, &message.Error{Code: message.BadRequest, Message: "these frames are no envelope; send one frame of JSON"})
	}
	m, credential, err := message.Decode(in.body, a.cfg.MaxMessage)
	if err != nil {
		e, _ := err.(*message.Error) // Decode promises one
		return a.unreadable(ctx, c, false, e)
	}
	if credential.Given() {
		c.claim(credential)
	}
	if c.meter != nil {
		c.meter.In(m.Type)
	}
	if m.Type != message.Ping {
		if err := a.limits.connection(ctx, c, m); err != nil {
			return request{client: c, err: err}
		}
	}
	m.Time, m.Conn = time.Now().UTC().Truncate(time.Millisecond), c.name
	if a.inbound.Subscribers() > 0 {
		seen := *m
		a.inbound.OnNext(&seen)
	}
	r := request{client: c, m: m, digest: c.digest}
	if m.Type == message.Ping {
		r.digest = ""
	}
	return r
}

// unreadable is what cannot be decoded. It costs the connection as much as any other message.
func (a *Agent) unreadable(ctx context.Context, c *client, silent bool, e *message.Error) request {
	if refused := a.limits.connection(ctx, c, &message.Message{ID: e.Ref}); refused != nil {
		e = refused
	}
	return request{client: c, silent: silent, err: e}
}

// process answers a request that needs no slow operation, or starts its handler.
func (a *Agent) process(ctx context.Context, c *client, r request) {
	m := r.m
	switch {
	case r.err != nil && r.silent:
		a.dropped.Add(1)
	case r.err != nil:
		a.answerError(c, r.err.Ref, r.err)
	case r.relay != nil:
		if !a.relay(ctx, c, r) {
			a.dropped.Add(1)
		}
	case m.Type == message.Ping:
		_, bound := c.identity()
		_ = c.Send(message.AppendPong(nil, m.ID, bound))
	default:
		if a.admitted(c, r) {
			a.handle(ctx, c, r)
			return // released when the handler settles
		}
	}
	c.link.Release(1)
}

// admitted holds a request against the session and the connection's binding, and answers it if it is
// refused.
func (a *Agent) admitted(c *client, r request) bool {
	bound, isBound := c.identity()
	switch {
	case r.failed != nil:
		a.answerError(c, r.m.ID, unavailable)
	case r.digest == "":
		a.answerError(c, r.m.ID, &message.Error{Code: message.Unauthenticated, Field: "from.session", Message: "log in first: send Login with your session"})
	case !r.verdict.Valid:
		c.logout(r.verdict.Reason, closeSession)
	case isBound && bound.User != r.verdict.Session.User:
		c.logout(message.SessionMismatch, closeSession)
	case r.m.From.ID != "" && r.m.From.ID != r.verdict.Session.User:
		a.answerError(c, r.m.ID, &message.Error{Code: message.Forbidden, Field: "from.id", Message: "this session belongs to another user"})
	default:
		if isBound && bound.Digest != r.verdict.Session.Digest && r.verdict.Session.Created.After(bound.Created) {
			c.bind(r.verdict)
			return a.settled(c, r)
		}
		return true
	}
	return false
}

// handle passes an admitted message to its handler and answers when that settles.
func (a *Agent) handle(ctx context.Context, c *client, r request) {
	m := r.m
	m.From = message.Address{Type: message.User, ID: r.verdict.Session.User}
	c.begin()
	err := a.permit(ctx, c, r)
	if err == nil {
		if a.messages.Subscribers() > 0 {
			_ = a.messages.Publish(ctx, m) // fails only when ctx ends, and then the handler does too
		}
		err = a.handler.Handle(ctx, m)
	}
	message.Settle(err, func(result message.Result, err error) {
		a.answer(c, m, result, err)
		c.settle(ctx)
	})
}

// permit asks whether the user may do this, and whether he may do so already.
func (a *Agent) permit(ctx context.Context, c *client, r request) error {
	if err := a.authorise(r); err != nil {
		return err
	}
	return a.limits.allow(ctx, c, r)
}

// authorise asks the hook of the program. Its panic costs the message; an error that is not meant for
// clients is a plain no.
func (a *Agent) authorise(r request) (err error) {
	if a.cfg.Authorise == nil {
		return nil
	}
	defer func() {
		if value := recover(); value != nil {
			a.log.Error("Authorise panicked", "type", r.m.Type, "panic", value, "stack", string(debug.Stack()))
			err = internal
		}
	}()
	err = a.cfg.Authorise(Request{
		User: r.verdict.Session.User, Roles: r.verdict.Session.Roles,
		Type: r.m.Type, To: r.m.To, Game: r.m.Game,
	})
	var meant *message.Error
	if err != nil && !errors.As(err, &meant) {
		return &message.Error{Code: message.Forbidden, Message: "you may not do this"}
	}
	return err
}

// answer tells the client what became of m: an Ack if it asked for one by giving an id, or an Error.
func (a *Agent) answer(c *client, m *message.Message, result message.Result, err error) {
	switch {
	case errors.Is(err, router.ErrUnknown), errors.Is(err, jobs.ErrUnknown):
		// Neither Ack nor Unavailable would be true: the client asks again with the same id.
	case err != nil:
		a.answerError(c, m.ID, a.public(err))
	case m.ID != "":
		_ = c.Send(message.AppendAck(nil, m.ID, result))
	}
}

// answerError sends an Error. A connection that cannot take it is being closed anyway.
func (a *Agent) answerError(c *client, ref string, e *message.Error) {
	if c.meter != nil {
		c.meter.Error(string(e.Code))
	}
	_ = c.Send(message.AppendError(nil, ref, e))
}
