// Command websocketecho sends every WebSocket message back to where it came from.
//
//	go run ./examples/websocketecho                               # the server and a client
//	go run ./examples/websocketecho -bind 127.0.0.1:8081          # for browsers of that host: new WebSocket("ws://127.0.0.1:8081/ws")
//	go run ./examples/websocketecho -connect ws://127.0.0.1:8081/ws    # a client, of a Python server for example
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("websocketecho", flag.ContinueOnError)
	bind := flags.String("bind", "", "serve at this host:port")
	connect := flags.String("connect", "", "talk to the server at this ws:// address")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)
	if *connect != "" {
		return talk(ctx, say, *connect)
	}
	if *bind != "" {
		return serve(ctx, say, *bind, func(string) error { return nil })
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	return serve(ctx, say, "127.0.0.1:0", func(at string) error {
		defer done()
		return talk(ctx, say, at)
	})
}

// serve echoes until ctx ends; meanwhile it calls ready with its address.
func serve(ctx context.Context, say *log.Logger, addr string, ready func(at string) error) error {
	bridge, err := websocket.NewBridge(websocket.Config{}) // no sessions: everybody may connect
	if err != nil {
		return err
	}
	bridge.Messages().Subscribe(ctx, func(m websocket.Message) {
		if err := m.Conn.Send(m.Body); err != nil { // it never waits: who does not read is closed
			say.Print("cannot answer: ", err)
		}
		m.Conn.Release(1) // the connection may send one more
	}, nil, nil)

	mux := http.NewServeMux()
	mux.Handle("GET /ws", bridge)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := websocket.NewServer(addr, mux)
	ended := make(chan error, 2)
	go func() { ended <- bridge.Run(ctx) }()
	go func() { ended <- server.Serve(listener) }()

	at := fmt.Sprintf("ws://%s/ws", listener.Addr())
	say.Print("serving at ", at)
	err = ready(at)
	<-ctx.Done()
	_ = server.Close()
	for range cap(ended) {
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// talk sends three messages and prints what comes back.
func talk(ctx context.Context, say *log.Logger, url string) error {
	client, err := websocket.Dial(ctx, url, websocket.ClientConfig{})
	for refused := (&websocket.HandshakeError{}); errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable; {
		time.Sleep(10 * time.Millisecond) // it is about to run
		client, err = websocket.Dial(ctx, url, websocket.ClientConfig{})
	}
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range 3 {
		if err := client.Send(ctx, fmt.Appendf(nil, "message %d", i+1)); err != nil {
			return err
		}
		select {
		case m, ok := <-client.Messages():
			if !ok {
				return client.Err()
			}
			say.Printf("echo: %s", m)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
