package agents

import (
	"errors"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/router"
)

// ErrNoBroker is returned when the agent runs with NoBroker, or has not opened its broker yet.
var ErrNoBroker = errors.New("agents: there is no broker")

var unavailable = &message.Error{
	Code: message.Unavailable, Retry: true, RetryAfter: time.Second,
	Message: "the broker does not answer; nothing was accepted, send it again with the same id",
}

var internal = &message.Error{Code: message.Internal, Message: "something went wrong here; the agent's log says what"}

// public is what a client may see of err. What is not meant for clients is logged and shown as Internal.
func (a *Agent) public(err error) *message.Error {
	var e *message.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, router.ErrNotMember):
		return &message.Error{Code: message.Forbidden, Field: "to.id", Message: "only members may do this; join the room first"}
	case errors.Is(err, router.ErrRefused), errors.Is(err, router.ErrUnavailable), errors.Is(err, jobs.ErrRefused), redisx.Unreachable(err):
		return unavailable
	}
	a.log.Error("a handler failed", "error", err)
	return internal
}
