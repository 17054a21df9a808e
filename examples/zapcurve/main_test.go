package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestBoth(t *testing.T) {
	t.Parallel()
	both := testrun.Start(t, run)
	both.Prints(`^friend: PeerUp$`)
	both.Prints(`^stranger: Refused$`)
	both.Prints(`^friend says hello, says the owner of \S{40}$`)
	both.Stop()
	if strings.Contains(both.String(), "stranger says hello") {
		t.Error("the stranger was admitted")
	}
}

// TestTrustGrows: a key that comes into the directory is welcome without a restart, and pyzmq's too.
func TestTrustGrows(t *testing.T) {
	t.Parallel()
	certs := t.TempDir()
	trusted := filepath.Join(certs, "trusted")
	server := testrun.Start(t, run, "-certs", certs, "-bind", "tcp://127.0.0.1:0")
	at := server.Prints(`^serving at (.*)$`)
	early := testrun.Start(t, run, "-certs", certs, "-connect", at, "-name", "ann")
	early.Prints(`^ann: Refused$`)
	early.Stop()
	if err := trust(certs, trusted, "ann"); err != nil {
		t.Fatal(err)
	}
	// A handshake looks at the directory if none has within a second; who was refused tries again.
	late := testrun.Start(t, run, "-certs", certs, "-connect", at, "-name", "ann")
	late.Prints(`^ann: PeerUp$`)
	server.Prints(`^ann says hello, says`)

	testrun.Python(t, `
import zmq.auth
at, certs = sys.argv[1:]
context = zmq.Context()
push = context.socket(zmq.PUSH)
push.curve_publickey, push.curve_secretkey = zmq.auth.load_certificate(certs + "/ann.key_secret")
push.curve_serverkey, _ = zmq.auth.load_certificate(certs + "/server.key")
push.connect(at)
push.send(b"Python says hello")
push.close(linger=20000)
context.term()
`, at, certs).Ends()
	server.Prints(`^Python says hello, says`)
}
