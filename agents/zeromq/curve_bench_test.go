package zeromq_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// BenchmarkMechanisms is one way from a DEALER to a ROUTER, both ends in this process.
func BenchmarkMechanisms(b *testing.B) {
	k := newKeys()
	for _, size := range []int{64, 256, 4096, 65536} {
		for _, m := range []struct {
			name         string
			serves, asks zeromq.Security
		}{{"NULL", zeromq.Security{}, zeromq.Security{}}, {"CURVE", k.serves(), k.asks()}} {
			b.Run(fmt.Sprintf("%dB/%s", size, m.name), func(b *testing.B) {
				in, url := bound(b, zmq4.Router, zeromq.Options{RecvHWM: 10000, Security: m.serves})
				out := dialled(b, zmq4.Dealer, zeromq.Options{SendHWM: 10000, Security: m.asks}, url)
				peers(b, out, 1)
				body, ctx := make([]byte, size), context.Background()
				b.SetBytes(int64(size))
				receiveAll(b, in, func(context.Context, []byte) error { return out.SendFrames(ctx, body) })
			})
		}
	}
}
