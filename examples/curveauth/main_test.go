package main

import (
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestBoth(t *testing.T) {
	t.Parallel()
	both := testrun.Start(t, run)
	both.Prints(`^a stranger: Refused`)
	both.Prints(`^the server says: hello ann$`)
	both.Ends()
}

func TestServerAndClients(t *testing.T) {
	t.Parallel()
	certs := t.TempDir()
	server := testrun.Start(t, run, "-certs", certs, "-bind", "tcp://127.0.0.1:0")
	at := server.Prints(`^serving at (.*)$`)
	client := testrun.Start(t, run, "-certs", certs, "-connect", at)
	client.Prints(`^the server says: hello ann$`)
	client.Ends()

	python := testrun.Python(t, `
import zmq.auth
at, certs = sys.argv[1:]
req = zmq.Context().socket(zmq.REQ)
req.curve_publickey, req.curve_secretkey = zmq.auth.load_certificate(certs + "/ann.key_secret")
req.curve_serverkey, _ = zmq.auth.load_certificate(certs + "/server.key")
req.connect(at)
req.send(b"who am I?")
print(req.recv())
`, at, certs)
	python.Prints(`^b'hello ann'$`)
	python.Ends()
}
