package websocket_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

func ExampleBridge() {
	ctx, cancel := context.WithCancel(context.Background())
	bridge, err := websocket.NewBridge(websocket.Config{})
	if err != nil {
		panic(err)
	}
	up := make(chan struct{})
	bridge.Messages().Subscribe(ctx, func(m websocket.Message) {
		defer m.Conn.Release(1)
		m.Conn.Send(append([]byte("you said: "), m.Body...))
		m.Conn.CloseAfterFlush(websocket.Normal, "bye", 0)
	}, nil, nil)
	server := httptest.NewServer(bridge)
	defer server.Close()
	ended := make(chan error)
	go func() { close(up); ended <- bridge.Run(ctx) }()
	<-up

	client := dialExample(ctx, "ws"+server.URL[len("http"):])
	defer client.Close()
	client.Send(ctx, []byte("hello"))
	for body := range client.Messages() {
		fmt.Printf("%s\n", body)
	}
	fmt.Println(client.CloseCode())
	cancel()
	fmt.Println(<-ended)
	// Output:
	// you said: hello
	// 1000
	// <nil>
}

// dialExample dials until the bridge runs.
func dialExample(ctx context.Context, url string) *websocket.Client {
	for {
		if c, err := websocket.Dial(ctx, url, websocket.ClientConfig{}); err == nil {
			return c
		}
	}
}
