package agents

import (
	"errors"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/router"
)

// carrier is how the router's deliveries reach other agents: as jobs.
type carrier struct{ broker *jobs.Broker }

var _ router.Carrier = carrier{}

// SendTo puts a delivery into the inbox of one agent.
func (c carrier) SendTo(incarnation string, m *message.Message, done func(error)) {
	c.broker.SendTo(incarnation, jobs.Job{Message: m}, func(_ jobs.Receipt, err error) { done(carried(err)) })
}

// Broadcast puts a delivery where all agents read.
func (c carrier) Broadcast(m *message.Message, done func(error)) {
	c.broker.Broadcast(jobs.Job{Message: m}, func(_ jobs.Receipt, err error) { done(carried(err)) })
}

func carried(err error) error {
	if errors.Is(err, jobs.ErrNoAgent) {
		return router.ErrNoAgent
	}
	return err
}
