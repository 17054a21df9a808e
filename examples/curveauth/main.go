// Command curveauth encrypts with CURVE and decides in the program who is welcome: the server knows whose
// key is ann's, and sees her name on every message.
//
//	go run ./examples/curveauth                                   # the server, ann, and a stranger
//	go run ./examples/curveauth -certs keys -bind tcp://127.0.0.1:5555      # for pyzmq too: a REQ with keys/ann.key_secret
//	go run ./examples/curveauth -certs keys -connect tcp://127.0.0.1:5555
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("curveauth", flag.ContinueOnError)
	bind := flags.String("bind", "", "serve at this endpoint")
	connect := flags.String("connect", "", "ask the server at this endpoint, as ann")
	certs := flags.String("certs", "", "directory of the certificates, which are made if missing; none: a temporary one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)
	if *certs == "" {
		dir, err := os.MkdirTemp("", "curveauth")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		*certs = dir
	}
	server, err := certificate(*certs, "server")
	if err != nil {
		return err
	}
	ann, err := certificate(*certs, "ann")
	if err != nil {
		return err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()

	agent, err := agents.New(agents.Config{Name: "curve", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	agent.Use(agents.Module{Name: "curve", Setup: func(ctx context.Context, a *agents.Agent) error {
		at := *connect
		if *connect == "" {
			users := map[curve.PublicKey]string{ann.Public: "ann"}
			if at, err = serve(ctx, a, say, *bind, server.Secret, users); err != nil {
				return err
			}
		}
		if *bind != "" {
			return nil
		}
		if *connect == "" {
			if err := intrude(ctx, a, say, at, server.Public); err != nil {
				return err
			}
		}
		return ask(ctx, a, say, at, zeromq.CurveClient{Server: server.Public, Secret: ann.Secret}, done)
	}})
	return agent.Run(ctx)
}

// certificate loads dir/name.key_secret, which pyzmq can read too, or makes it.
func certificate(dir, name string) (curve.Certificate, error) {
	c, err := curve.LoadCertificate(filepath.Join(dir, name+".key_secret"))
	if errors.Is(err, fs.ErrNotExist) {
		return curve.CreateCertificate(dir, name, nil)
	}
	return c, err
}

func serve(ctx context.Context, a *agents.Agent, say *log.Logger, endpoint string, secret curve.SecretKey, users map[curve.PublicKey]string) (at string, err error) {
	if endpoint == "" {
		endpoint = "tcp://127.0.0.1:0"
	}
	rep, err := a.Bind(agents.SocketConfig{Type: zeromq.REP, Endpoint: endpoint, Options: zeromq.Options{
		Security: zeromq.Security{CurveServer: &zeromq.CurveServer{
			Secret: secret,
			Authorise: func(_ context.Context, r curve.Request) (string, error) {
				if user, known := users[r.ClientKey]; known {
					return user, nil
				}
				return "", errors.New("nobody knows this key")
			},
		}},
	}})
	if err != nil {
		return "", err
	}
	say.Print("serving at ", rep.Addrs()[0])
	rep.Messages().Subscribe(ctx, func(m zeromq.Received) {
		if err := rep.Send([]byte("hello " + m.Origin.UserID)); err != nil {
			say.Print("cannot answer: ", err)
		}
	}, nil, nil)
	return rep.Addrs()[0], nil
}

// ask asks once, and calls done with the answer.
func ask(ctx context.Context, a *agents.Agent, say *log.Logger, endpoint string, keys zeromq.CurveClient, done func()) error {
	req, err := a.Connect(agents.SocketConfig{Type: zeromq.REQ, Endpoint: endpoint, Options: zeromq.Options{
		Security: zeromq.Security{CurveClient: &keys},
	}})
	if err != nil {
		return err
	}
	req.Messages().Subscribe(ctx, func(m zeromq.Received) {
		say.Printf("the server says: %s", m.Frames[0])
		done()
	}, nil, nil)
	return req.Send([]byte("who am I?"))
}

// intrude connects with a key that nobody knows, and returns when it has been refused.
func intrude(ctx context.Context, a *agents.Agent, say *log.Logger, endpoint string, server curve.PublicKey) error {
	stranger, err := a.Connect(agents.SocketConfig{Type: zeromq.REQ, Options: zeromq.Options{
		Security: zeromq.Security{CurveClient: &zeromq.CurveClient{Server: server}}, // a key is made up
	}})
	if err != nil {
		return err
	}
	defer stranger.Close()
	events, sub := stranger.Events().ToChan(ctx, 1, nil) // before it connects, so that nothing is missed
	defer sub.Dispose()
	if err := stranger.Connect(endpoint); err != nil {
		return err
	}
	e := <-events
	say.Printf("a stranger: %v: %v", e.Kind, e.Reason)
	return nil
}
