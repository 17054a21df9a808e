package main

import (
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const answers = `(?s)answer: question 1\nanswer: question 2\nanswer: question 3\n`

func TestBoth(t *testing.T) {
	t.Parallel()
	both := testrun.Start(t, run)
	both.Prints(answers)
	both.Ends()
}

func TestServerAndClient(t *testing.T) {
	t.Parallel()
	server := testrun.Start(t, run, "-bind", "tcp://127.0.0.1:0")
	at := server.Prints(`^serving at (.*)$`)
	client := testrun.Start(t, run, "-connect", at)
	client.Prints(answers)
	client.Ends()

	testrun.Python(t, `
req = zmq.Context().socket(zmq.REQ)
req.connect(sys.argv[1])
for frames in [b"one"], [b"", b"two"]:
    req.send_multipart(frames)
    print(req.recv_multipart())
`, at).Prints(`(?s)\[b'one'\]\n\[b'', b'two'\]`)
}

// TestPythonServer: the client asks a pyzmq REP.
func TestPythonServer(t *testing.T) {
	t.Parallel()
	python := testrun.Python(t, `
rep = zmq.Context().socket(zmq.REP)
print("at", "tcp://127.0.0.1:%d" % rep.bind_to_random_port("tcp://127.0.0.1"))
for _ in range(3):
    rep.send_multipart(rep.recv_multipart())
rep.close(linger=20000)
`)
	client := testrun.Start(t, run, "-connect", python.Prints(`^at (.*)$`))
	client.Prints(answers)
	client.Ends()
	python.Ends()
}
