// Command notifications publishes to whoever listens to a topic, through a broker.
//
//	go run ./examples/notifications                               # broker, publisher and listener
//	go run ./examples/notifications -bind tcp://127.0.0.1:5552,tcp://127.0.0.1:5553     # only the broker: PUB and SUB clients connect there
//	go run ./examples/notifications -connect tcp://127.0.0.1:5552,tcp://127.0.0.1:5553 -topics game.   # a client, of a Python broker for example
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
	flags := flag.NewFlagSet("notifications", flag.ContinueOnError)
	bind := flags.String("bind", "", "run a broker at these endpoints: for publishers, for subscribers")
	connect := flags.String("connect", "", "publish and listen at the broker with these endpoints")
	topics := flags.String("topics", "game.,chat", "prefixes of the topics to listen to")
	count := flags.Int("count", 4, "notifications to hear, then the end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)
	ctx, done := context.WithCancel(ctx)
	defer done()

	agent, err := agents.New(agents.Config{Name: "news", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	both := *bind == "" && *connect == ""
	if both {
		*bind = "tcp://127.0.0.1:0,tcp://127.0.0.1:0"
	}
	if *bind != "" {
		agent.Use(agents.Module{Name: "broker", Setup: func(_ context.Context, a *agents.Agent) error {
			pub, sub, _ := strings.Cut(*bind, ",")
			broker, err := a.NotificationBroker(zeromq.BrokerConfig{Pub: []string{pub}, Sub: []string{sub}})
			if err != nil {
				return err
			}
			pubs, subs := broker.Addrs()
			say.Printf("broker at %s,%s", pubs[0], subs[0])
			if both {
				*connect = pubs[0] + "," + subs[0]
			}
			return nil
		}})
	}
	if both || *connect != "" {
		agent.Use(agents.Module{Name: "client", Setup: func(ctx context.Context, a *agents.Agent) error {
			pub, sub, ok := strings.Cut(*connect, ",")
			if !ok {
				return errors.New("want two endpoints with a comma between them")
			}
			client, err := a.NotificationClient(agents.NotificationConfig{
				Publish: pub, Subscribe: sub, Topics: strings.Split(*topics, ","),
			})
			if err != nil {
				return err
			}
			heard := client.Messages().Pipe(observables.Take[agents.Notification](*count))
			heard.Subscribe(ctx, func(n agents.Notification) { say.Printf("%s: %s", n.Topic, n.Payload) }, nil, func(error) { done() })

			// What is published before anybody is known to listen is gone, so this goes on and on.
			tick := 0
			observables.FromChan(time.Tick(20*time.Millisecond)).Subscribe(ctx, func(time.Time) {
				topic := []string{"game.1", "weather", "chat"}[tick%3]
				if err := client.Publish(topic, fmt.Sprint("tick ", tick)); err != nil {
					say.Print("cannot publish: ", err)
				}
				tick++
			}, nil, nil)
			return nil
		}})
	}
	return agent.Run(ctx)
}
