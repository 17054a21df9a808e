package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/bench/peers/zmq/ends"
)

// playOurs plays a role with Router and Dealer, as an agent and its clients use them.
func playOurs(role string, o ends.Options) {
	switch router := o["type"] == "router"; {
	case role == "echo":
		ends.Serve()
		r := startRouter(o, func(batch []zeromq.Message) {
			for _, m := range batch {
				ends.Must(m.Peer.Send(m.Frames...))
				m.Peer.Release(1)
			}
		})
		<-r.done
	case role == "ask":
		d := startDealer(o, "asker")
		ends.Ask(o, func(frames [][]byte) [][]byte {
			ends.Must(d.Send(context.Background(), frames...))
			return <-d.Messages()
		})
	case role == "broker":
		playBroker(o)
	case role == "send" && router:
		oursRouterSends(o)
	case role == "send":
		oursDealerSends(o)
	case role == "receive" && router:
		oursRouterReceives(o)
	case role == "receive":
		oursDealerReceives(o)
	default:
		ends.Void("no such role: %s", role)
	}
}

type ourRouter struct {
	*zeromq.Router
	done chan struct{}
}

func startRouter(o ends.Options, handle func([]zeromq.Message)) ourRouter {
	r := ends.Got(zeromq.NewRouter(zeromq.RouterConfig{
		Bind: []string{"tcp://127.0.0.1:0"}, Window: 4096,
		QueueMessages: 2 * ends.HWM, QueueBytes: 1 << 30, Security: security(o, true),
	}))
	ends.Must(r.Listen())
	r.Messages().SubscribeBatch(context.Background(), handle, nil, nil)
	o1 := ourRouter{r, make(chan struct{})}
	go func() {
		defer close(o1.done)
		ends.Must(r.Run(context.Background()))
	}()
	ends.Endpoint(r.Addrs()[0])
	return o1
}

func startDealer(o ends.Options, id string) *zeromq.Dealer {
	d := ends.Got(zeromq.NewDealer(zeromq.DealerConfig{
		Endpoint: o["endpoint"], RoutingID: id, QueueMessages: ends.HWM, QueueBytes: 1 << 30, Inbox: ends.HWM,
		Batches: o["type"] == "dealer", Security: security(o, false),
	}))
	go func() { ends.Must(d.Run(context.Background())) }()
	ends.Must(d.Send(context.Background(), []byte("hi")))
	if id != "d" {
		<-d.Messages() // an echo server's
	}
	return d
}

func oursDealerSends(o ends.Options) {
	d, ctx := startDealer(o, "d"), context.Background()
	ends.Got(d.Receive(ctx)) // go
	source := ends.NewSource(o)
	c := ends.CPU()
	for !source.Done {
		ends.Must(d.Send(ctx, source.Next()...))
	}
	ends.Got(d.Receive(ctx)) // ok
	ends.Result("cpu=%d", ends.CPU()-c)
}

func oursDealerReceives(o ends.Options) {
	d, ctx := startDealer(o, "d"), context.Background()
	var counter ends.Counter
	for ended := false; !ended; {
		for _, m := range ends.Got(d.Receive(ctx)) {
			ended = counter.Count(m)
		}
	}
	ends.Must(d.Send(ctx, []byte("ok")))
	counter.Report()
}

func oursRouterReceives(o ends.Options) {
	var counter ends.Counter
	hi, ended := true, make(chan *zeromq.Peer)
	r := startRouter(o, func(batch []zeromq.Message) {
		for _, m := range batch {
			switch {
			case hi:
				hi = false
				ends.Must(m.Peer.Send([]byte("go")))
			case counter.Count(m.Frames):
				ended <- m.Peer
			}
		}
		batch[0].Peer.Release(len(batch))
	})
	select {
	case p := <-ended:
		ends.Must(p.Send([]byte("ok")))
		counter.Report()
	case <-r.done:
	}
}

// oursRouterSends looks at the peer's queue once in a while: a Router closes a peer whose queue is full.
func oursRouterSends(o ends.Options) {
	said := make(chan *zeromq.Peer, 2)
	startRouter(o, func(batch []zeromq.Message) {
		for _, m := range batch {
			m.Peer.Release(1)
			said <- m.Peer
		}
	})
	p := <-said
	source := ends.NewSource(o)
	c := ends.CPU()
	for n := 0; !source.Done; n++ {
		for n%64 == 0 && p.Backlog() > ends.HWM {
			time.Sleep(50 * time.Microsecond)
		}
		ends.Must(p.Send(source.Next()...))
	}
	<-said // ok
	ends.Result("cpu=%d", ends.CPU()-c)
}

// oneByOne is any of zmq4's sockets, ours included.
type oneByOne struct{ zmq4.Socket }

func (s oneByOne) Recv() ([][]byte, error) {
	m, err := s.Socket.Recv()
	return m.Frames, err
}

// Send waits for room where a ROUTER has none.
func (s oneByOne) Send(frames [][]byte) error {
	for {
		err := s.Socket.Send(zmq4.Msg{Frames: frames})
		if !errors.Is(err, zeromq.ErrFull) {
			return err
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// ourSockets are the same sockets through zmq4's interface, one message at a time.
var ourSockets = ends.Maker{
	Router: func(o ends.Options) ends.Socket {
		s := newSocket(zmq4.Router, zeromq.Options{RouterMandatory: true, Security: security(o, true)})
		ends.Must(s.Listen("tcp://127.0.0.1:0"))
		ends.Endpoint(s.Addrs()[0])
		return oneByOne{s}
	},
	Dealer: func(o ends.Options, id string) ends.Socket {
		s := newSocket(zmq4.Dealer, zeromq.Options{RoutingID: id, Security: security(o, false)})
		ends.Must(s.Dial(o["endpoint"]))
		return oneByOne{s}
	},
}

func newSocket(kind zmq4.SocketType, o zeromq.Options) *zeromq.Socket {
	orDefault(&o.SendHWM, ends.HWM)
	orDefault(&o.RecvHWM, ends.HWM)
	return ends.Got(zeromq.NewSocket(context.Background(), kind, o))
}

// stock is go-zeromq/zmq4 as it is published.
var stock = ends.Maker{
	Router: func(ends.Options) ends.Socket {
		s := zmq4.NewRouter(context.Background())
		ends.Must(s.Listen("tcp://127.0.0.1:0"))
		ends.Endpoint("tcp://" + s.Addr().String())
		return oneByOne{s}
	},
	Dealer: func(o ends.Options, id string) ends.Socket {
		s := zmq4.NewDealer(context.Background(), zmq4.WithID(zmq4.SocketIdentity(id)))
		ends.Must(s.Dial(o["endpoint"]))
		return oneByOne{s}
	},
}

func orDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

func playBroker(o ends.Options) {
	ends.Serve()
	options := zeromq.Options{SendHWM: o.Int("hwm", ends.HWM), RecvHWM: o.Int("hwm", ends.HWM)}
	in, out := newSocket(zmq4.XSub, options), newSocket(zmq4.XPub, options)
	for _, s := range []*zeromq.Socket{in, out} {
		ends.Must(s.Listen("tcp://127.0.0.1:0"))
		ends.Endpoint(s.Addrs()[0])
	}
	ends.Must(zeromq.Proxy(context.Background(), in, out))
}

// stockBroker subscribes to everything, since stock sockets do not pass subscriptions on.
func stockBroker() {
	in, out := zmq4.NewSub(context.Background()), zmq4.NewXPub(context.Background())
	for _, s := range []zmq4.Socket{in, out} {
		ends.Must(s.Listen("tcp://127.0.0.1:0"))
		ends.Endpoint("tcp://" + s.Addr().String())
	}
	ends.Must(in.SetOption(zmq4.OptionSubscribe, ""))
	for {
		ends.Must(out.Send(ends.Got(in.Recv())))
	}
}
