package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"strings"

	"github.com/agentmesh/agentmesh/agents"
)

// profileVariable makes this program an agent that writes its CPU profile into the file named.
const profileVariable = "AGENTMESH_LOOP_PROFILE"

// profiledAgent is `agentmesh serve` with a profile: the same flags as far as this program gives them.
func profiledAgent(ctx context.Context, path string, args []string, stdout io.Writer) (err error) {
	cfg := agents.Config{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	zmq := f.String("zmq", "", "")
	f.StringVar(&cfg.Name, "name", "", "")
	f.StringVar(&cfg.Redis, "redis", "", "")
	f.StringVar(&cfg.HTTP, "http", "", "")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	cfg.ZeroMQ = []string{*zmq}
	cfg.Ready = func(at agents.Addresses) { fmt.Fprintln(stdout, "ready zmq="+strings.Join(at.ZeroMQ, ",")) }
	out, err := os.Create(path) //nolint:gosec // where whoever runs this wants it
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer func() {
		pprof.StopCPUProfile()
		err = errors.Join(err, out.Close())
	}()
	agent, err := agents.New(cfg)
	if err != nil {
		return err
	}
	return agent.Run(ctx)
}
