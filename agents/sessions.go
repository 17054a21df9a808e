package agents

import (
	"context"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/middleware/session"
)

// revocations are the sessions that were revoked a short while ago. A connection that is being bound at
// that moment looks here, because the revocation could not find it yet.
type revocations struct {
	mu   sync.Mutex
	when map[string]time.Time
}

// rememberRevoked is far longer than a session check and a bind take together.
const rememberRevoked = time.Minute

func (r *revocations) add(digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.when[digest] = time.Now()
}

func (r *revocations) has(digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.when[digest]
	return ok
}

func (r *revocations) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for digest, t := range r.when {
		if now.Sub(t) > rememberRevoked {
			delete(r.when, digest)
		}
	}
}

// checkers are the session checks of the sockets. A revocation may come, and metrics may be asked for, while the
// sockets are being started.
type checkers struct {
	mu  sync.Mutex
	all []*checker
}

func (c *checkers) add(check *checker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, check)
}

// list gives those there are; none is ever taken away.
func (c *checkers) list() []*checker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// watchSessions logs clients out as soon as their session is revoked anywhere in the mesh.
func (a *Agent) watchSessions(ctx context.Context, ready func()) error {
	return a.sessions.Watch(ctx, session.Watcher{
		Ready: ready,
		Revoked: func(r session.Revocation) {
			a.recent.add(r.Digest)
			for _, check := range a.checks.list() {
				check.Invalidate(r.Digest)
			}
			for _, c := range a.clients.ofSession(r.Digest) {
				c.logout(message.SessionRevoked, closeSession)
			}
		},
		Resync: func() {
			for _, check := range a.checks.list() {
				check.InvalidateAll()
			}
			a.verifyBound(ctx)
		},
	})
}

// verifyBound checks every session in use once more.
func (a *Agent) verifyBound(ctx context.Context) {
	const page = 512
	digests := a.clients.digests()
	for len(digests) > 0 && ctx.Err() == nil {
		n := min(page, len(digests))
		verdicts, err := a.sessions.VerifyAll(ctx, digests[:n])
		if err != nil {
			a.log.Error("sessions in use could not be verified again", "error", err)
			return
		}
		for i, v := range verdicts {
			if v.Valid {
				continue
			}
			for _, c := range a.clients.ofSession(digests[i]) {
				c.logout(v.Reason, closeSession)
			}
		}
		digests = digests[n:]
	}
}

// sweepEvery is how late an expired session or an idle stranger may be cut off.
const sweepEvery = 250 * time.Millisecond

// sweep ends connections whose session has expired or that never showed one.
func (a *Agent) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			a.recent.sweep(now)
			for _, c := range a.clients.snapshot() {
				switch c.standing(now, a.cfg.BindTimeout) {
				case expired:
					c.logout(message.SessionExpired, closeSession)
				case stranger:
					c.drop(closeIdle, "no session was shown in time")
				}
			}
		}
	}
}

// authenticate checks a session that came with a WebSocket handshake.
func (a *Agent) authenticate(ctx context.Context, token string) (any, error) {
	v, err := a.sessions.Verify(ctx, token)
	switch {
	case err != nil:
		return nil, websocket.ErrUnavailable
	case !v.Valid:
		return nil, &message.Error{Code: message.Unauthenticated, Message: v.Reason}
	}
	return identity{verdict: v, credential: message.NewCredential(token)}, nil
}

// identity is a session that was shown at the handshake.
type identity struct {
	verdict    session.Verdict
	credential message.Credential
}
