// Command daemon does slow work beside the sockets. A request says how long its work takes; who asks gets
// the result, or is told that it takes too long: the work goes on, and nobody waits for it.
//
//	go run ./examples/daemon                                      # the server and a client
//	go run ./examples/daemon -bind tcp://127.0.0.1:5557           # for a Python REQ for example, which sends b"50ms"
//	go run ./examples/daemon -connect tcp://127.0.0.1:5557 50ms 1h
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

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
	flags := flag.NewFlagSet("daemon", flag.ContinueOnError)
	bind := flags.String("bind", "", "serve at this endpoint")
	connect := flags.String("connect", "", "ask the server at this endpoint")
	timeout := flags.Duration("timeout", 500*time.Millisecond, "how long a result is waited for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	questions := flags.Args()
	if len(questions) == 0 {
		questions = []string{"10ms", "1h", "soon"}
	}
	say := log.New(out, "", 0)
	ctx, done := context.WithCancel(ctx)
	defer done()

	agent, err := agents.New(agents.Config{Name: "daemon", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	// Four workers that share a queue of 64. Their ctx ends with the agent; a panic is the error of its job.
	slow := agents.NewBackground(agent, "slow", 4, 64, func(ctx context.Context, takes string) (string, error) {
		d, err := time.ParseDuration(takes)
		if err != nil {
			return "", err
		}
		select {
		case <-time.After(d):
			return "done after " + takes, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	agent.Use(agents.Module{Name: "daemon", Setup: func(ctx context.Context, a *agents.Agent) error {
		at := *connect
		if at == "" {
			if at, err = serve(ctx, a, say, *bind, slow, *timeout); err != nil {
				return err
			}
		}
		if *bind != "" {
			return nil
		}
		return ask(ctx, a, say, at, questions, done)
	}})
	return agent.Run(ctx)
}

func serve(ctx context.Context, a *agents.Agent, say *log.Logger, endpoint string, slow *agents.Background[string, string], timeout time.Duration) (at string, err error) {
	if endpoint == "" {
		endpoint = "tcp://127.0.0.1:0"
	}
	rep, err := a.Bind(agents.SocketConfig{Type: zeromq.REP, Endpoint: endpoint})
	if err != nil {
		return "", err
	}
	say.Print("serving at ", rep.Addrs()[0])
	rep.Messages().Subscribe(ctx, func(m zeromq.Received) {
		if err := rep.Send([]byte(result(ctx, slow, string(m.Frames[0]), timeout))); err != nil {
			say.Print("cannot answer: ", err)
		}
	}, nil, nil)
	return rep.Addrs()[0], nil
}

// result submits work and waits for its outcome, but not for ever.
func result(ctx context.Context, slow *agents.Background[string, string], takes string, timeout time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	outcome, err := slow.Submit(ctx, takes)
	if err != nil {
		return "not taken: " + err.Error()
	}
	text, err := outcome.Wait(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprint("not done within ", timeout)
	case err != nil:
		return "failed: " + err.Error()
	}
	return text
}

// ask asks one question after the other.
func ask(ctx context.Context, a *agents.Agent, say *log.Logger, endpoint string, questions []string, done func()) error {
	req, err := a.Connect(agents.SocketConfig{Type: zeromq.REQ, Endpoint: endpoint})
	if err != nil {
		return err
	}
	asked := 0
	req.Messages().Subscribe(ctx, func(m zeromq.Received) {
		say.Printf("%s: %s", questions[asked], m.Frames[0])
		if asked++; asked == len(questions) {
			done()
			return
		}
		if err := req.Send([]byte(questions[asked])); err != nil {
			say.Print("cannot ask: ", err)
		}
	}, nil, nil)
	return req.Send([]byte(questions[0]))
}
