// Command agentmesh runs an agent of the mesh and speaks with one: serve, session, send, listen. Its router,
// broker and keys need no mesh.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	redisx.Silence()
	cmd, begun := root(), false
	onRun(cmd, func() { begun = true })
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "agentmesh:", err)
		os.Exit(status(err, begun))
	}
}
