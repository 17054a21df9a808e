package testrun_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testrun"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestProgram(t *testing.T) {
	t.Parallel()
	p := testrun.Start(t, func(ctx context.Context, args []string, out io.Writer) error {
		_, err := fmt.Fprintln(out, "args", args)
		<-ctx.Done()
		return err
	}, "a", "b")
	if got := p.Prints(`^args \[(.*)\]$`); got != "a b" {
		t.Errorf("got %q", got)
	}
	if got := p.Prints("args"); got != "args" {
		t.Errorf("got %q", got)
	}
	p.Stop()

	python := testrun.Python(t, "print(zmq.REQ, sys.argv[1])", "x")
	if got := python.Prints(`^3 (.*)$`); got != "x" {
		t.Errorf("got %q", got)
	}
	python.Ends()
}
