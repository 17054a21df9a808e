package jobs_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/jobs"
)

func Example() {
	server, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := redisx.Open(server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()

	broker, err := jobs.New(jobs.Config{Redis: client})
	if err != nil {
		fmt.Println(err)
		return
	}
	running.Go(func() { _ = broker.Run(ctx) })

	done := make(chan struct{})
	worker, err := broker.Join(ctx, jobs.WorkerConfig{
		Name: "lobby-1",
		Queues: map[string]jobs.QueueConfig{"game": {Handler: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			info, _ := jobs.InfoFrom(ctx)
			fmt.Println(info.Key, m.Text, "attempt", info.Attempt)
			close(done)
			return nil
		})}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	running.Go(func() { _ = worker.Run(ctx) })

	move := &message.Message{Type: "GameAction", Text: "e2e4"}
	if _, err := broker.DoEnqueue(ctx, "game", jobs.Job{Key: "chess-7", Message: move}); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	// Output: chess-7 e2e4 attempt 1
}
