package middleware_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
)

func Example() {
	limit, err := middleware.NewRateLimit(middleware.RateLimitConfig{PerSecond: 0.001, Burst: 1})
	if err != nil {
		log.Fatal(err)
	}
	handle := message.Chain(
		middleware.Recover(func(_ context.Context, m *message.Message, p *middleware.Panic) {
			fmt.Println("report:", m.Type, p.Value)
		}),
		limit.Middleware,
		middleware.Timeout(time.Second),
	)(message.HandlerFunc(func(context.Context, *message.Message) error {
		panic("a bug")
	}))

	ann := &message.Message{Type: "GameAction", From: message.Address{Type: message.User, ID: "ann"}}
	fmt.Println(handle.Handle(context.Background(), ann))
	fmt.Println(handle.Handle(context.Background(), ann))
	// Output:
	// report: GameAction a bug
	// middleware: the handler panicked: a bug
	// RateLimited: too many messages, slow down
}
