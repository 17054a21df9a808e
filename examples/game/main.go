// Command game joins a mesh as an agent without sockets and runs games with a fixed tick. The players are the
// members of the game's room; each of their GameActions is told to all of them with the number of its turn.
// However many agents run this program, a game is run by one of them at a time: the others take it over from
// the last turn that was committed when that one ends or dies.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

const (
	tick = 50 * time.Millisecond
	idle = 10 * time.Second // a game nobody plays is put away; the next action goes on with it
)

// world is the state of a game. It is committed with each tick.
type world struct {
	Tick  int    `json:"tick"`
	Turn  int    `json:"turn"`  // actions so far
	Owner string `json:"owner"` // the agent that ran the last tick
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	name := "game"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	agent, err := agents.New(agents.Config{
		Name:    name,
		Redis:   os.Getenv("AGENTMESH_REDIS"),
		Workers: 256, // a game that runs takes one
		Ready:   func(agents.Addresses) { fmt.Println("ready") },
	})
	if err != nil {
		log.Fatal(err)
	}

	agent.Handle(message.GameAction, func(ctx context.Context, m *message.Message) error {
		room, played := agent.Room(m.Game), time.Now()
		return jobs.Own(ctx, tick, func(ctx context.Context, turn *jobs.Turn) error {
			return jobs.Update(ctx, "world/"+m.Game, func(w *world) error {
				w.Tick++
				w.Owner = name
				for _, action := range turn.Jobs {
					w.Turn++
					played = time.Now()
					if err := room.Send(ctx, news(w.Turn, action.Message)); err != nil {
						return err
					}
				}
				if time.Since(played) > idle {
					turn.End()
				}
				return nil
			})
		})
	})

	if err := agent.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// news is what the players hear of an action. It is sent before the tick is committed: should the agent die in
// between, the next one sends the same again, which the mesh recognises and tells nobody twice.
func news(turn int, action *message.Message) *message.Message {
	return &message.Message{From: action.From, Game: action.Game, Text: fmt.Sprintf("turn %d", turn), Payload: action.Payload}
}
