package main

import (
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestBoth(t *testing.T) {
	t.Parallel()
	both := testrun.Start(t, run)
	both.Prints(`^broker at tcp`)
	both.Prints(`^game\.1: tick`)
	both.Prints(`^chat: tick`)
	both.Ends()
	if strings.Contains(both.String(), "weather") {
		t.Error("it heard what it does not listen to")
	}
}

func TestBrokerAndClients(t *testing.T) {
	t.Parallel()
	broker := testrun.Start(t, run, "-bind", "tcp://127.0.0.1:0,tcp://127.0.0.1:0")
	at := broker.Prints(`^broker at (.*)$`)
	python := testrun.Python(t, `
pub, at = sys.argv[1].split(",")
sub = zmq.Context().socket(zmq.SUB)
sub.connect(at)
sub.subscribe(b"weath")
print(sub.recv_multipart())
`, at)
	weather := testrun.Start(t, run, "-connect", at, "-topics", "weather", "-count", "1000")
	weather.Prints(`^weather: tick`)
	python.Prints(`^\[b'weather', b'.x00', b'tick \d+'\]$`)
	python.Ends()
}
