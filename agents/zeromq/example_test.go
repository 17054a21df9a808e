package zeromq_test

import (
	"context"
	"fmt"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// A ROUTER that answers, and a DEALER that asks.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	router, err := zeromq.NewRouter(zeromq.RouterConfig{Name: "lobby-1", Bind: []string{"tcp://127.0.0.1:0"}})
	if err != nil {
		panic(err)
	}
	served := router.Messages().Subscribe(context.Background(), func(m zeromq.Message) {
		m.Peer.Send([]byte("hello "+m.Peer.RoutingID()), m.Frames[0])
		m.Peer.Release(1)
	}, nil, nil)
	if err := router.Listen(); err != nil {
		panic(err)
	}
	dealer, err := zeromq.NewDealer(zeromq.DealerConfig{Endpoint: router.Addrs()[0], RoutingID: "ann"})
	if err != nil {
		panic(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- router.Run(ctx) }()
	go func() { ended <- dealer.Run(ctx) }()

	if err := dealer.Send(ctx, []byte("are you there?")); err != nil {
		panic(err)
	}
	answer := <-dealer.Messages()
	fmt.Printf("%s: %s\n", answer[0], answer[1])

	stop()
	fmt.Println(<-ended, <-ended)
	<-served.Done()
	// Output:
	// hello ann: are you there?
	// <nil> <nil>
}
