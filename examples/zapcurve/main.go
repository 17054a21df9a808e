// Command zapcurve admits the clients whose public keys are files of a directory, as ZAP authenticators of
// pyzmq do: a key that is put there is welcome from the next connection on, without a restart.
//
//	go run ./examples/zapcurve                                    # a server, a friend it trusts and a stranger it does not
//	go run ./examples/zapcurve -certs keys -bind tcp://127.0.0.1:5556
//	go run ./examples/zapcurve -certs keys -connect tcp://127.0.0.1:5556 -name friend
//
// The directory holds server.key, NAME.key and their secrets; trusted/ in it holds the keys that are welcome.
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
	"github.com/agentmesh/agentmesh/observables"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("zapcurve", flag.ContinueOnError)
	bind := flags.String("bind", "", "serve at this endpoint")
	connect := flags.String("connect", "", "send to the server at this endpoint")
	certs := flags.String("certs", "", "directory of the certificates, which are made if missing; none: a temporary one")
	name := flags.String("name", "friend", "who connects")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := log.New(out, "", 0)
	if *certs == "" {
		dir, err := os.MkdirTemp("", "zapcurve")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		*certs = dir
	}
	trusted := filepath.Join(*certs, "trusted")
	if err := os.MkdirAll(trusted, 0o750); err != nil {
		return err
	}
	agent, err := agents.New(agents.Config{Name: "zap", Redis: agents.NoBroker})
	if err != nil {
		return err
	}
	agent.Use(agents.Module{Name: "zap", Setup: func(ctx context.Context, a *agents.Agent) error {
		if *connect != "" {
			return greet(ctx, a, say, *certs, *name, *connect)
		}
		endpoint := *bind
		if endpoint == "" {
			endpoint = "tcp://127.0.0.1:0"
		}
		at, err := serve(ctx, a, say, *certs, trusted, endpoint)
		if err != nil || *bind != "" {
			return err
		}
		if err := trust(*certs, trusted, "friend"); err != nil {
			return err
		}
		return errors.Join(greet(ctx, a, say, *certs, "stranger", at), greet(ctx, a, say, *certs, "friend", at))
	}})
	return agent.Run(ctx)
}

// serve prints what trusted clients send.
func serve(ctx context.Context, a *agents.Agent, say *log.Logger, certs, trusted, endpoint string) (at string, err error) {
	own, err := certificate(certs, "server")
	if err != nil {
		return "", err
	}
	keys, err := curve.TrustedKeys(trusted)
	if err != nil {
		return "", err
	}
	pull, err := a.Bind(agents.SocketConfig{Type: zeromq.PULL, Endpoint: endpoint, Options: zeromq.Options{
		Security: zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: own.Secret, Authorise: keys}},
	}})
	if err != nil {
		return "", err
	}
	say.Print("serving at ", pull.Addrs()[0])
	pull.Messages().Subscribe(ctx, func(m zeromq.Received) {
		say.Printf("%s, says the owner of %s", m.Frames[0], m.Origin.UserID)
	}, nil, nil)
	return pull.Addrs()[0], nil
}

// greet sends a greeting with the keys of name.
func greet(ctx context.Context, a *agents.Agent, say *log.Logger, certs, name, endpoint string) error {
	own, err := certificate(certs, name)
	if err != nil {
		return err
	}
	server, err := curve.LoadCertificate(filepath.Join(certs, "server.key"))
	if err != nil {
		return err
	}
	push, err := a.Connect(agents.SocketConfig{Type: zeromq.PUSH, Options: zeromq.Options{
		Security: zeromq.Security{CurveClient: &zeromq.CurveClient{Server: server.Public, Secret: own.Secret}},
	}})
	if err != nil {
		return err
	}
	changes := push.Events().Pipe(observables.Changed(func(e zeromq.MonitorEvent) zeromq.EventKind { return e.Kind })) // it tries again and again
	changes.Subscribe(ctx, func(e zeromq.MonitorEvent) { say.Printf("%s: %v", name, e.Kind) }, nil, nil)
	if err := push.Connect(endpoint); err != nil {
		return err
	}
	return push.Send([]byte(name + " says hello"))
}

// certificate loads certs/name.key_secret, or makes it.
func certificate(certs, name string) (curve.Certificate, error) {
	c, err := curve.LoadCertificate(filepath.Join(certs, name+".key_secret"))
	if errors.Is(err, fs.ErrNotExist) {
		return curve.CreateCertificate(certs, name, nil)
	}
	return c, err
}

// trust copies the public key of name to where the server looks.
func trust(certs, trusted, name string) error {
	if _, err := certificate(certs, name); err != nil {
		return err
	}
	key, err := os.ReadFile(filepath.Join(certs, name+".key"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(trusted, name+".key"), key, 0o600) //nolint:gosec // the names are this program's
}
