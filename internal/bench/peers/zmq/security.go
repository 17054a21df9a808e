package main

import (
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
	"github.com/agentmesh/agentmesh/internal/bench/peers/zmq/ends"
)

// security is CURVE where keys are given.
func security(o ends.Options, server bool) zeromq.Security {
	switch keys := o.Keys(); {
	case keys == nil:
		return zeromq.Security{}
	case server:
		return zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: curve.SecretKey(keys[0]), Authorise: curve.AnyKey}}
	default:
		return zeromq.Security{CurveClient: &zeromq.CurveClient{Server: curve.PublicKey(keys[1]), Secret: curve.SecretKey(keys[2])}}
	}
}
