package router_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/router"
)

// alone carries nothing: there is one agent only.
type alone struct{}

func (alone) SendTo(_ string, _ *message.Message, done func(error)) { done(router.ErrNoAgent) }
func (alone) Broadcast(_ *message.Message, done func(error))        { done(nil) }

type printer struct{}

func (printer) Send(body []byte) error { fmt.Printf("%.40s\n", body); return nil }
func (printer) Backlog() int           { return 0 }
func (printer) Key() uint64            { return 1 }

func Example() {
	server, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer server.Close()
	client, err := redisx.Open(server.URL())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	r, err := router.New(router.Config{Redis: client, Incarnation: "lobby-1", Carrier: alone{}})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })

	bob := printer{}
	if err := r.Bind(ctx, bob, "bob"); err != nil {
		panic(err)
	}
	stored := make(chan int64)
	post := router.Post{To: router.History{Kind: router.Inbox, ID: "bob"}, Body: []byte(`{"type":"DirectMessage"}`)}
	r.Publish(post, func(at message.Result, _ bool, err error) { stored <- at.Seq })
	fmt.Println("stored as", <-stored)

	stop()
	running.Wait()
	// Output:
	// {"type":"DirectMessage","seq":1,"epoch":
	// stored as 1
}
