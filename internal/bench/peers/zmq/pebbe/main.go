// Command pebbe is an end of the measurements of command zmq, on github.com/pebbe/zmq4: libzmq through cgo. It
// is a command of its own because it needs libzmq's headers.
package main

import (
	"fmt"
	"os"

	"github.com/pebbe/zmq4"

	"github.com/agentmesh/agentmesh/internal/bench/peers/zmq/ends"
)

func main() {
	if os.Args[1] == "version" {
		major, minor, patch := zmq4.Version()
		fmt.Printf("pebbe/zmq4 on libzmq %d.%d.%d\n", major, minor, patch)
		return
	}
	ends.Maker{Router: router, Dealer: dealer}.Play(os.Args[1], ends.ParseOptions(os.Args[2:]))
}

type socket struct{ *zmq4.Socket }

func (s socket) Send(frames [][]byte) error {
	if len(frames) == 1 { // SendMessage takes anything, which costs
		_, err := s.SendBytes(frames[0], 0)
		return err
	}
	_, err := s.SendMessage(frames)
	return err
}

func (s socket) Recv() ([][]byte, error) { return s.RecvMessageBytes(0) }

func open(kind zmq4.Type) *zmq4.Socket {
	s := ends.Got(zmq4.NewSocket(kind))
	ends.Must(s.SetSndhwm(ends.HWM))
	ends.Must(s.SetRcvhwm(ends.HWM))
	ends.Must(s.SetLinger(0))
	return s
}

func router(o ends.Options) ends.Socket {
	s := open(zmq4.ROUTER)
	ends.Must(s.SetRouterMandatory(1))
	if keys := o.Keys(); keys != nil {
		ends.Must(s.SetCurveServer(1))
		ends.Must(s.SetCurveSecretkey(zmq4.Z85encode(string(keys[0]))))
	}
	ends.Must(s.Bind("tcp://127.0.0.1:*"))
	ends.Endpoint(ends.Got(s.GetLastEndpoint()))
	return socket{s}
}

func dealer(o ends.Options, id string) ends.Socket {
	s := open(zmq4.DEALER)
	ends.Must(s.SetIdentity(id))
	if keys := o.Keys(); keys != nil {
		ends.Must(s.SetCurveServerkey(zmq4.Z85encode(string(keys[1]))))
		ends.Must(s.SetCurveSecretkey(zmq4.Z85encode(string(keys[2]))))
		ends.Must(s.SetCurvePublickey(zmq4.Z85encode(string(keys[3]))))
	}
	ends.Must(s.Connect(o["endpoint"]))
	return socket{s}
}
