package agents

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// validateZeroMQ checks what the ZeroMQ endpoints have in common: both ends of the notification broker or
// none, and nothing unencrypted within reach of other machines.
func (c *Config) validateZeroMQ() error {
	if err := c.Security.Validate(); err != nil {
		return fmt.Errorf("agents: %w", err)
	}
	if (len(c.NotifyPub) == 0) != (len(c.NotifySub) == 0) {
		return errors.New("agents: NotifyPub and NotifySub need each other: publishers connect to the one, subscribers to the other")
	}
	if c.Insecure || c.Security.CurveServer != nil {
		return nil
	}
	for _, field := range []struct {
		endpoints     []string
		name, carries string
	}{{c.ZeroMQ, "ZeroMQ", "sessions"}, {c.NotifyPub, "NotifyPub", "notifications"}, {c.NotifySub, "NotifySub", "notifications"}} {
		for _, ep := range field.endpoints {
			if local, err := zeromq.Local(ep); err != nil {
				return fmt.Errorf("agents: %s: %w", field.name, err)
			} else if !local {
				return fmt.Errorf("agents: %s on %s would carry %s unencrypted to other machines; set Security.CurveServer, bind a loopback address or say Insecure",
					field.name, ep, field.carries)
			}
		}
	}
	return nil
}

// startNotify runs the notification broker, if there is to be one, and returns when it is bound.
func (a *Agent) startNotify(live context.Context, parts *errgroup.Group) error {
	if len(a.cfg.NotifyPub) == 0 {
		return nil
	}
	bound := make(chan struct{})
	broker, err := zeromq.NewBroker(zeromq.BrokerConfig{
		Pub: a.cfg.NotifyPub, Sub: a.cfg.NotifySub, Security: a.cfg.Security, Logger: a.log,
		Ready: func(_, _ []string) { close(bound) },
	})
	if err != nil {
		return err
	}
	a.notify = broker
	parts.Go(func() error { return broker.Run(live) })
	select {
	case <-bound:
		return nil
	case <-live.Done():
		return context.Cause(live)
	}
}
