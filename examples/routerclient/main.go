// Command routerclient has clients send each other messages by name, through a router.
//
//	go run ./examples/routerclient                                # a router, ann and bob
//	go run ./examples/routerclient -bind tcp://127.0.0.1:5554     # only the router, for Python clients for example
//	go run ./examples/routerclient -connect tcp://127.0.0.1:5554 -name bob
//	go run ./examples/routerclient -connect tcp://127.0.0.1:5554 -name ann -to bob
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

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
	flags := flag.NewFlagSet("routerclient", flag.ContinueOnError)
	bind := flags.String("bind", "", "run a router at this endpoint")
	connect := flags.String("connect", "", "be a client of the router at this endpoint")
	name := flags.String("name", "ann", "what the others call this client")
	to := flags.String("to", "", "whom to write to; nobody: only answer")
	count := flags.Int("count", 3, "answers to wait for, then the end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)
	ctx, done := context.WithCancel(ctx)
	defer done()

	agent, err := agents.New(agents.Config{Name: "post", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	agent.Use(agents.Module{Name: "post", Setup: func(ctx context.Context, a *agents.Agent) error {
		switch {
		case *connect != "" && *to != "":
			return write(ctx, a, say, *connect, *name, *to, *count, done)
		case *connect != "":
			return answer(ctx, a, say, *connect, *name)
		case *bind != "":
			_, err := route(a, say, *bind)
			return err
		}
		at, err := route(a, say, "tcp://127.0.0.1:0")
		if err == nil {
			err = answer(ctx, a, say, at, "bob")
		}
		if err == nil {
			err = write(ctx, a, say, at, "ann", "bob", *count, done)
		}
		return err
	}})
	return agent.Run(ctx)
}

// route runs a router.
func route(a *agents.Agent, say *log.Logger, endpoint string) (at string, err error) {
	router, err := a.Router(zeromq.RelayConfig{Bind: []string{endpoint}})
	if err != nil {
		return "", err
	}
	at = router.Addrs()[0]
	say.Print("router at ", at)
	return at, nil
}

// answer is a client that answers whoever writes to it.
func answer(ctx context.Context, a *agents.Agent, say *log.Logger, router, name string) error {
	client, err := a.Client(agents.ClientConfig{Name: name, Endpoint: router})
	if err != nil {
		return err
	}
	client.Messages().Subscribe(ctx, func(m agents.ClientMessage) {
		say.Printf("%s got %q from %s", name, m.Payload, m.From)
		if err := client.Send(m.From, "re: "+m.Payload); err != nil {
			say.Print("cannot answer: ", err)
		}
	}, nil, nil)
	return nil
}

// write is a client that writes to another until it has been answered often enough.
func write(ctx context.Context, a *agents.Agent, say *log.Logger, router, name, to string, count int, done func()) error {
	client, err := a.Client(agents.ClientConfig{Name: name, Endpoint: router})
	if err != nil {
		return err
	}
	isAnswer := observables.Filter(func(m agents.ClientMessage) bool { return strings.HasPrefix(m.Payload, "re: ") })
	client.Messages().Pipe(isAnswer, observables.Take[agents.ClientMessage](count)).Subscribe(ctx, func(m agents.ClientMessage) {
		say.Printf("%s got %q from %s", name, m.Payload, m.From)
	}, nil, func(error) { done() })

	letter := 0 // a router drops what is for a client that it does not know yet, so there are many
	observables.FromChan(time.Tick(20*time.Millisecond)).Subscribe(ctx, func(time.Time) {
		letter++
		if err := client.Send(to, fmt.Sprint("letter ", letter)); err != nil {
			say.Print("cannot write: ", err)
		}
	}, nil, nil)
	return nil
}
