// Command echoserver answers every request with the request: a REP socket, and a REQ that asks it.
//
//	go run ./examples/echoserver                                  # both
//	go run ./examples/echoserver -bind tcp://127.0.0.1:5551       # the server, for example for a Python REQ
//	go run ./examples/echoserver -connect tcp://127.0.0.1:5551    # the client, for example of a Python REP
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("echoserver", flag.ContinueOnError)
	bind := flags.String("bind", "", "serve at this endpoint")
	connect := flags.String("connect", "", "ask the server at this endpoint")
	count := flags.Int("count", 3, "questions to ask")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)
	ctx, done := context.WithCancel(ctx)
	defer done()

	agent, err := agents.New(agents.Config{Name: "echo", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	both := *bind == "" && *connect == ""
	if both {
		*bind = "tcp://127.0.0.1:0"
	}
	if *bind != "" {
		agent.Use(agents.Module{Name: "server", Setup: func(ctx context.Context, a *agents.Agent) error {
			rep, err := a.Bind(agents.SocketConfig{Type: zeromq.REP, Endpoint: *bind})
			if err != nil {
				return err
			}
			say.Print("serving at ", rep.Addrs()[0])
			if both {
				*connect = rep.Addrs()[0]
			}
			rep.Messages().Subscribe(ctx, func(m zeromq.Received) {
				if err := rep.Send(m.Frames...); err != nil {
					say.Print("cannot answer: ", err)
				}
			}, nil, nil)
			return nil
		}})
	}
	if both || *connect != "" {
		agent.Use(agents.Module{Name: "client", Setup: func(ctx context.Context, a *agents.Agent) error {
			req, err := a.Connect(agents.SocketConfig{Type: zeromq.REQ, Endpoint: *connect})
			if err != nil {
				return err
			}
			asked := 1
			ask := func() error { return req.Send(fmt.Appendf(nil, "question %d", asked)) }
			req.Messages().Subscribe(ctx, func(m zeromq.Received) {
				say.Printf("answer: %s", m.Frames[0])
				if asked == *count {
					done() // ends the agent
					return
				}
				asked++
				if err := ask(); err != nil {
					say.Print("cannot ask: ", err)
				}
			}, nil, nil)
			return ask() // waits for the server if it is not there yet
		}})
	}
	return agent.Run(ctx)
}
