package curve_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// Both ends of a connection, and one sealed frame.
func Example() {
	serverKey, serverSecret := curve.GenerateKeyPair()
	near, far := net.Pipe()
	defer near.Close()

	ended := make(chan error)
	go func() {
		defer far.Close()
		server := curve.Server(far, curve.ServerConfig{
			Secret: serverSecret, Authorise: curve.AnyKey, Metadata: curve.SocketMetadata("ROUTER", ""),
		})
		if err := server.Handshake(context.Background()); err != nil {
			ended <- err
			return
		}
		fmt.Println("here is", server.PeerMetadata().Get("Identity"))
		frame, err := server.Sealer().AppendFrame(nil, 0, []byte("hello"))
		if err == nil {
			_, err = server.NetConn().Write(frame)
		}
		ended <- err
	}()

	client := curve.Client(near, curve.ClientConfig{Server: serverKey, Metadata: curve.SocketMetadata("DEALER", "ann")})
	if err := client.Handshake(context.Background()); err != nil {
		panic(err)
	}
	wire := make([]byte, curve.SealedSize(5))
	if _, err := io.ReadFull(near, wire); err != nil {
		panic(err)
	}
	_, body, err := client.Opener().Open(wire[0], wire[2:])
	if err != nil {
		panic(err)
	}
	if err := <-ended; err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", body)
	// Output:
	// here is ann
	// hello
}
