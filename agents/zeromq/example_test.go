package zeromq_test

import (
	"context"
	"fmt"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// A broker of publications: XSUB and XPUB in the middle.
func ExampleProxy() {
	ctx, stop := context.WithCancel(context.Background())
	opts := zeromq.Options{Inproc: &zeromq.Inproc{}}
	open := func(kind zmq4.SocketType) *zeromq.Socket {
		s, err := zeromq.NewSocket(ctx, kind, opts)
		if err != nil {
			panic(err)
		}
		return s
	}
	upper, lower, pub, sub := open(zmq4.XSub), open(zmq4.XPub), open(zmq4.XPub), open(zmq4.Sub)
	for _, err := range []error{
		upper.Listen("inproc://publishers"), lower.Listen("inproc://subscribers"),
		sub.Subscribe("chat."), sub.Dial("inproc://subscribers"), pub.Dial("inproc://publishers"),
	} {
		if err != nil {
			panic(err)
		}
	}
	ended := make(chan error)
	go func() { ended <- zeromq.Proxy(ctx, upper, lower) }()

	subscription, _ := pub.Recv() // it has come all the way up
	fmt.Printf("%q\n", subscription.Frames)
	pub.Send(zmq4.NewMsgFromString([]string{"news", "nobody asked"}))
	pub.Send(zmq4.NewMsgFromString([]string{"chat.lobby", "hello"}))
	m, _ := sub.Recv()
	fmt.Printf("%q\n", m.Frames)

	stop()
	fmt.Println(<-ended)
	for _, s := range []*zeromq.Socket{pub, sub, upper, lower} {
		s.Close()
	}
	// Output:
	// ["\x01chat."]
	// ["chat.lobby" "hello"]
	// <nil>
}

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
