package main

import (
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	one := testrun.Start(t, run)
	at := one.Prints(`^bound to (.*)$`)
	one.Prints(`^received: hello from Go$`)

	two := testrun.Start(t, run, "-connect", at)
	two.Prints(`^bound to `)
	one.Prints(`(?s)received: hello from Go.*received: hello from Go`)

	testrun.Python(t, `
context = zmq.Context()
push = context.socket(zmq.PUSH)
push.connect(sys.argv[1])
push.send(b"hello from Python")
push.close(linger=20000)
context.term()
`, at).Ends()
	one.Prints(`^received: hello from Python$`)
	one.Stop()
	one.Prints(`^shutting down$`)
}
