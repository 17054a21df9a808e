package main

import (
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/bench/peers/zmq/ends"
)

// security is CURVE where keys are given.
func security(o ends.Options, server bool) zeromq.Security {
	if o.Keys() != nil {
		ends.Void("no CURVE yet")
	}
	_ = server
	return zeromq.Security{}
}
