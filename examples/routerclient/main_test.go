package main

import (
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestAll(t *testing.T) {
	t.Parallel()
	all := testrun.Start(t, run)
	letter := all.Prints(`^ann got "re: letter (\d+)" from bob$`)
	all.Prints(`^bob got "letter ` + letter + `" from ann$`)
	all.Ends()
}

func TestRouterAndClients(t *testing.T) {
	t.Parallel()
	router := testrun.Start(t, run, "-bind", "tcp://127.0.0.1:0")
	at := router.Prints(`^router at (.*)$`)
	bob := testrun.Start(t, run, "-connect", at, "-name", "bob")
	ann := testrun.Start(t, run, "-connect", at, "-name", "ann", "-to", "bob")
	ann.Prints(`^ann got "re: letter \d+" from bob$`)
	ann.Ends()
	bob.Prints(`^bob got "letter \d+" from ann$`)

	python := testrun.Python(t, `
dealer = zmq.Context().socket(zmq.DEALER)
dealer.identity = b"carl"
dealer.connect(sys.argv[1])
dealer.send_multipart([b"bob", b"\x01", b"hello"])
print(dealer.recv_multipart())
`, at)
	python.Prints(`^\[b'bob', b'.x01', b're: hello'\]$`)
	python.Ends()
}
