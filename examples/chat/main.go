// Command chat is a complete chat server with a dice game, in one file.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/observables"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	agent, err := agents.New(agents.Config{
		ZeroMQ: []string{"tcp://127.0.0.1:5555"}, // programs connect here
		HTTP:   "127.0.0.1:8080", Dev: true,      // browsers here; Dev adds the chat page
		Redis: os.Getenv("AGENTMESH_REDIS"), EmbeddedAddr: "127.0.0.1:6390", // no Redis: one inside this process
		Ready: func(at agents.Addresses) { fmt.Println("ready, open", at.HTTP) },
	})
	if err != nil {
		log.Fatal(err)
	}

	// A job behind the broker: one at a time for each game, on whichever agent of the mesh is free.
	agent.Handle(message.GameAction, func(ctx context.Context, m *message.Message) error {
		rolled := fmt.Sprintf("%s rolled %d", m.From.ID, 1+rand.IntN(6))
		return agent.Room(m.Game).Send(ctx, &message.Message{Text: rolled})
	})

	// An observable of what clients say, after the session check.
	loud := agent.Messages().Pipe(observables.Filter(func(m *message.Message) bool { return m.Type == message.GlobalMessage }))
	loud.Subscribe(ctx, func(m *message.Message) { log.Print(m.From.ID, " tells everyone: ", m.Text) }, nil, nil)

	if err := agent.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
