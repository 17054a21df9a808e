// Command asyncinterop goes back and forth between observables and what Go has of its own: an iterator
// becomes a stream that is pushed to a socket; what arrives is read from a channel, then ranged over.
//
//	go run ./examples/asyncinterop                                # both ends
//	go run ./examples/asyncinterop -bind tcp://127.0.0.1:5558     # receives, from a Python PUSH for example
//	go run ./examples/asyncinterop -connect tcp://127.0.0.1:5558  # sends, to a Python PULL for example
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
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
	flags := flag.NewFlagSet("asyncinterop", flag.ContinueOnError)
	bind := flags.String("bind", "", "receive at this endpoint")
	connect := flags.String("connect", "", "send to this endpoint")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)
	both := *bind == "" && *connect == ""
	if both {
		*bind = "tcp://127.0.0.1:0"
	}

	// The agent runs beside this goroutine; what arrives is taken here, in plain Go.
	arriving := make(chan observables.Stream[string], 1)
	agent, err := agents.New(agents.Config{Name: "interop", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	agent.Use(agents.Module{Name: "interop", Setup: func(ctx context.Context, a *agents.Agent) error {
		at := *connect
		if *bind != "" {
			pull, err := a.Bind(agents.SocketConfig{Type: zeromq.PULL, Endpoint: *bind})
			if err != nil {
				return err
			}
			at = pull.Addrs()[0]
			say.Print("receiving at ", at)
			texts := observables.Map(func(m zeromq.Received) string { return string(m.Frames[0]) })
			arriving <- texts(pull.Messages())
		}
		if *bind != "" && !both {
			return nil
		}
		push, err := a.Connect(agents.SocketConfig{Type: zeromq.PUSH, Endpoint: at})
		if err != nil {
			return err
		}
		observables.FromSeq(numbers(10)).Subscribe(ctx, func(n int) { // an iterator as a stream
			if err := push.Send(fmt.Append(nil, n)); err != nil {
				say.Print("cannot send: ", err)
			}
		}, nil, func(error) { say.Print("sent") })
		return nil
	}})
	ctx, done := context.WithCancel(ctx)
	defer done()
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	select {
	case texts := <-arriving:
		take(ctx, say, texts)
		done()
		return <-ended
	case err := <-ended: // nothing is received here
		return err
	}
}

// take reads a stream in the two ways of plain Go.
func take(ctx context.Context, say *log.Logger, texts observables.Stream[string]) {
	channel, sub := texts.ToChan(ctx, 1, nil) // a stream as a channel: read it or dispose of it
	defer sub.Dispose()
	for range 5 {
		text, ok := <-channel
		if !ok {
			return
		}
		say.Print("from the channel: ", text)
	}
	n := 0
	for text, err := range observables.FromChan(channel).Each(ctx) { // a channel as a stream, a stream as an iterator
		if err != nil {
			return
		}
		say.Print("ranged over: ", text)
		if n++; n == 5 {
			break
		}
	}
}

// numbers is any iterator with errors: rows of a database, lines of a file.
func numbers(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}
