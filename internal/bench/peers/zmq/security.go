package main

import (
	"encoding/binary"

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
		return zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: secret(keys[0]), Authorise: curve.AnyKey}}
	default:
		return zeromq.Security{CurveClient: &zeromq.CurveClient{Server: curve.PublicKey(keys[1]), Secret: secret(keys[2])}}
	}
}

func secret(key []byte) curve.SecretKey { return ends.Got(curve.ParseSecretKey(z85(key))) }

// z85 is the text of a key (RFC 32).
func z85(key []byte) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
	var text []byte
	for i := 0; i < len(key); i += 4 {
		n := binary.BigEndian.Uint32(key[i:])
		for divisor := uint32(85 * 85 * 85 * 85); divisor > 0; divisor /= 85 {
			text = append(text, digits[n/divisor%85])
		}
	}
	return string(text)
}
