package main

import (
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestBoth(t *testing.T) {
	t.Parallel()
	both := testrun.Start(t, run, "-timeout", "2s")
	both.Prints(`^10ms: done after 10ms$`)
	both.Prints(`^1h: not done within 2s$`)
	both.Prints(`^soon: failed: .*invalid duration`)
	both.Ends() // an hour's work does not hold it up
}

func TestServerAndClients(t *testing.T) {
	t.Parallel()
	server := testrun.Start(t, run, "-bind", "tcp://127.0.0.1:0", "-timeout", "10s")
	at := server.Prints(`^serving at (.*)$`)
	client := testrun.Start(t, run, "-connect", at, "1ms", "2ms")
	client.Prints(`(?s)1ms: done after 1ms\n2ms: done after 2ms\n`)
	client.Ends()

	testrun.Python(t, `
req = zmq.Context().socket(zmq.REQ)
req.connect(sys.argv[1])
req.send(b"3ms")
print(req.recv())
`, at).Prints(`^b'done after 3ms'$`)
}
