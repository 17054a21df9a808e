package main

import (
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const taken = `(?s)from the channel: 0\n.*from the channel: 4\nranged over: 5\n.*ranged over: 9\n`

func TestBoth(t *testing.T) {
	t.Parallel()
	both := testrun.Start(t, run)
	both.Prints(taken)
	both.Ends()
}

func TestReceiverAndSenders(t *testing.T) {
	t.Parallel()
	receiver := testrun.Start(t, run, "-bind", "tcp://127.0.0.1:0")
	sender := testrun.Start(t, run, "-connect", receiver.Prints(`^receiving at (.*)$`))
	receiver.Prints(taken)
	receiver.Ends()
	sender.Prints(`^sent$`)
	sender.Stop()
}

// TestPython: what is sent reaches a pyzmq PULL.
func TestPython(t *testing.T) {
	t.Parallel()
	python := testrun.Python(t, `
pull = zmq.Context().socket(zmq.PULL)
print("at", "tcp://127.0.0.1:%d" % pull.bind_to_random_port("tcp://127.0.0.1"))
print(b"".join(pull.recv() for _ in range(10)))
`)
	sender := testrun.Start(t, run, "-connect", python.Prints(`^at (.*)$`))
	python.Prints(`^b'0123456789'$`)
	python.Ends()
	sender.Stop()
}
