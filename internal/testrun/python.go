package testrun

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"testing"
)

// Python runs a script with the Python that has pyzmq.
func Python(tb testing.TB, script string, args ...string) *Program {
	tb.Helper()
	return Start(tb, func(ctx context.Context, args []string, out io.Writer) error {
		cmd := exec.CommandContext(ctx, "/usr/bin/python3", append([]string{"-u", "-c", "import sys, zmq\n" + script}, args...)...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%w; if it cannot import zmq: apt-get install python3-zmq", err)
		}
		return nil
	}, args...)
}
