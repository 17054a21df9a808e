package zeromq_test

import (
	"context"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// BenchmarkSockets passes 64 bytes from one socket to another.
func BenchmarkSockets(b *testing.B) {
	for _, p := range pairings {
		if p.a == zmq4.Req {
			continue
		}
		for _, transport := range []string{"tcp", "inproc"} {
			b.Run(string(p.a+"-"+p.b)+"/"+transport, func(b *testing.B) {
				opts := zeromq.Options{SendHWM: -1, RecvHWM: 10000, Inproc: &zeromq.Inproc{}}
				in := newSocket(b, p.b, opts)
				endpoint := map[string]string{"tcp": "tcp://127.0.0.1:0", "inproc": "inproc://b"}[transport]
				if err := in.Listen(endpoint); err != nil {
					b.Fatal(err)
				}
				out := dialled(b, p.a, opts, in.Addrs()[0])
				p.meet(b, ourEnd{out}, ourEnd{in})
				peers(b, out, 1)
				receiveAll(b, in, func(ctx context.Context, body []byte) error { return out.SendFrames(ctx, body) })
			})
		}
	}
}

// BenchmarkProxy passes 64 bytes through a broker of XSUB and XPUB.
func BenchmarkProxy(b *testing.B) {
	opts := zeromq.Options{SendHWM: -1, RecvHWM: 10000}
	upper, in := bound(b, zmq4.XSub, opts)
	lower, out := bound(b, zmq4.XPub, opts)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- zeromq.Proxy(ctx, upper, lower) }()
	pub, sub := dialled(b, zmq4.XPub, opts, in), dialled(b, zmq4.Sub, opts, out)
	sub.Subscribe("")
	want(b, pub, "\x01")
	receiveAll(b, sub, func(ctx context.Context, body []byte) error { return pub.SendFrames(ctx, body) })
	stop()
	<-ended
}

func receiveAll(b *testing.B, in *zeromq.Socket, send func(context.Context, []byte) error) {
	b.Helper()
	body, ctx := make([]byte, 64), context.Background()
	ended := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			if _, err := in.RecvFrames(ctx); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range b.N {
		if err := send(ctx, body); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}
