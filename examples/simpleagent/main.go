// Command simpleagent is the smallest agent: it is set up, has a socket, prints what arrives there as an
// observable, and shuts down.
//
//	go run ./examples/simpleagent
//	go run ./examples/simpleagent -bind tcp://127.0.0.1:5550   # and from Python: zmq.PUSH, connect, send
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/observables"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("simpleagent", flag.ContinueOnError)
	bind := flags.String("bind", "tcp://127.0.0.1:0", "endpoint where others push messages to")
	connect := flags.String("connect", "", "endpoint of another simpleagent, to push it a message")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)

	// NoBroker: an agent by itself, without a mesh. Its log lines carry its name.
	agent, err := agents.New(agents.Config{Name: "simple", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	agent.Use(agents.Module{
		Name: "printer",
		Setup: func(ctx context.Context, a *agents.Agent) error {
			pull, err := a.Bind(agents.SocketConfig{Type: zeromq.PULL, Endpoint: *bind})
			if err != nil {
				return err
			}
			say.Print("bound to ", pull.Addrs()[0])
			texts := observables.Map(func(m zeromq.Received) string { return string(m.Frames[0]) })
			texts(pull.Messages()).Subscribe(ctx, func(text string) { say.Print("received: ", text) }, nil, nil)

			if *connect == "" {
				*connect = pull.Addrs()[0] // talk to myself
			}
			push, err := a.Connect(agents.SocketConfig{Type: zeromq.PUSH, Endpoint: *connect})
			if err != nil {
				return err
			}
			return push.Send([]byte("hello from Go"))
		},
		Shutdown: func(context.Context) { say.Print("shutting down") },
	})
	return agent.Run(ctx) // until interrupted
}
