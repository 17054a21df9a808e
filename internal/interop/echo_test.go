package interop_test

import (
	"context"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// echoes are the REP sockets that send back what they get.
var echoes = []struct {
	name  string
	start func(testing.TB) string
}{
	{"ours", func(t testing.TB) string {
		s, err := zeromq.NewSocket(context.Background(), zmq4.Rep, zeromq.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(anyPort); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				m, err := s.Recv()
				if err != nil || s.Send(m) != nil {
					return
				}
			}
		}()
		t.Cleanup(func() { _ = s.Close(); <-done })
		return s.Addrs()[0]
	}},
	{"Python", func(t testing.TB) string {
		return vpa(t).open("echo", command{"do": "echo", "address": "tcp://127.0.0.1:*"}).bound
	}},
}

// TestEcho: REQ and REP, the envelope included.
func TestEcho(t *testing.T) {
	t.Parallel()
	for _, server := range echoes {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			endpoint := server.start(t)
			p := libzmq(t)
			agent := vpa(t).open("asker", command{"do": "asker", "address": endpoint})
			for _, c := range []framed{
				p.open("req", command{"type": "REQ", "connect": endpoint}),
				dial(t, zmq4.Req, "", endpoint, nil, curve.SecretKey{}),
				agent,
			} {
				for _, frames := range [][]string{{"1"}, {"a", "", "c"}, {""}} {
					c.send(frames...)
					want(t, c, frames...)
				}
			}
			dealer := p.open("dealer", command{"type": "DEALER", "connect": endpoint})
			dealer.send("no delimiter") // is ignored
			for _, envelope := range [][]string{{"", "1"}, {"hop1", "hop2", "", "body", "", "more"}} {
				dealer.send(envelope...)
				want(t, dealer, envelope...)
			}
		})
	}
}
