package agents

import (
	"context"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// drain ends an agent's work so that nothing accepted is lost: no new connections, what clients sent is
// finished and answered, they are told to go elsewhere, jobs are finished or handed back, and the mesh
// forgets the agent.
func (a *Agent) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.DrainWithin)
	defer cancel()
	defer a.servers.end(ctx)
	defer a.sockets.end(ctx)
	defer a.shutDown(ctx)
	if a.dealers != nil {
		a.dealers.StopAccepting()
	}
	if a.bridge != nil {
		a.bridge.StopAccepting()
	}
	a.waitIdle(ctx)
	links := a.clients.snapshot() // again: some have come and some gone
	for _, c := range links {
		c.logout(message.Drain, closeGoingAway)
	}
	if a.worker != nil {
		if err := a.worker.Drain(ctx); err != nil {
			a.log.Error("jobs in hand could not be handed back; another agent takes them after their lease", "error", err)
		}
	}
	if a.http != nil {
		a.shutdownHTTP(ctx)
	}
	for _, c := range links {
		select {
		case <-c.link.Done():
		case <-ctx.Done():
			return
		}
	}
}

// shutdownHTTP lets pages in hand be finished; hijacked connections are the bridge's. A connection that has
// sent nothing yet would hold it up for five seconds.
func (a *Agent) shutdownHTTP(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if a.http.Shutdown(ctx) != nil {
		_ = a.http.Close()
	}
}

// waitIdle takes nothing more from clients and waits until nothing of theirs is in work, for half of the
// time that the drain has: a broker that does not answer must not use up the rest.
func (a *Agent) waitIdle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.DrainWithin/2)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	links := a.clients.snapshot()
	for _, c := range links {
		c.quiesce()
	}
	for _, c := range links {
		for c.atWork() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// close releases what open took.
func (a *Agent) close() {
	if a.dealers != nil {
		a.dealers.StopAccepting() // they may be bound without ever having run
	}
	if a.http != nil {
		_ = a.http.Close()
	}
	if a.web != nil {
		_ = a.web.Close()
	}
	if a.watching.web != nil {
		_ = a.watching.web.Close()
	}
	if a.redis != nil {
		_ = a.redis.Close()
	}
	if a.embedded != nil {
		a.embedded.Close()
	}
	a.inbound.OnCompleted()
	a.messages.OnCompleted()
}
