// Command game joins a mesh as an agent without sockets and runs the simplest game there is: every
// GameAction is counted and told to all players, who are the members of the game's room. Actions of one
// game are handled one at a time and in order, however many agents run this program.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/message"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	agent, err := agents.New(agents.Config{
		Name:  "game",
		Redis: os.Getenv("AGENTMESH_REDIS"),
		Ready: func(agents.Addresses) { fmt.Println("ready") },
	})
	if err != nil {
		log.Fatal(err)
	}

	var mu sync.Mutex
	turns := map[string]int{}
	agent.Handle(message.GameAction, func(ctx context.Context, m *message.Message) error {
		mu.Lock()
		turns[m.Game]++
		turn := turns[m.Game]
		mu.Unlock()
		return agent.Room(m.Game).Send(ctx, &message.Message{
			From: m.From,
			Game: m.Game,
			Text: fmt.Sprintf("turn %d", turn),

			Payload: m.Payload,
		})
	})

	if err := agent.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
