package main

import (
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const echoes = `(?s)echo: message 1\necho: message 2\necho: message 3\n`

func TestBoth(t *testing.T) {
	t.Parallel()
	both := testrun.Start(t, run)
	both.Prints(echoes)
	both.Ends()
}

func TestServerAndClient(t *testing.T) {
	t.Parallel()
	server := testrun.Start(t, run, "-bind", "127.0.0.1:0")
	client := testrun.Start(t, run, "-connect", server.Prints(`^serving at (.*)$`))
	client.Prints(echoes)
	client.Ends()
}
