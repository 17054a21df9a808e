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
	defer a.shutDown(ctx)
	if a.dealers != nil {
		a.dealers.StopAccepting()
	}
	if a.bridge != nil {
		a.bridge.StopAccepting()
	}
	a.waitIdle(ctx)
	links := a.clients.snapshot()
	for _, c := range links {
		c.logout(message.Drain, closeGoingAway)
	}
	if a.worker != nil {
		if err := a.worker.Drain(ctx); err != nil {
			a.log.Error("jobs in hand could not be handed back; another agent takes them after their lease", "error", err)
		}
	}
	if a.http != nil {
		_ = a.http.Shutdown(ctx) // hijacked connections are the bridge's
	}
	for _, c := range links {
		select {
		case <-c.link.Done():
		case <-ctx.Done():
			return
		}
	}
}

// waitIdle waits until no client's message is in work.
func (a *Agent) waitIdle(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, c := range a.clients.snapshot() {
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
	if a.web != nil {
		_ = a.web.Close()
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
