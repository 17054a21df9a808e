package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

const anyPort = "tcp://127.0.0.1:0"

// trust is a server's key and whom it lets in; nil means NULL, and everybody.
type trust struct {
	dir     string // server.key_secret, and clients/ with the public halves of good
	server  curve.PublicKey
	secret  curve.SecretKey
	good    curve.SecretKey // of a client that is let in
	unknown curve.SecretKey // of one that is not
}

// newTrust makes keys and writes their files.
func newTrust(t testing.TB) *trust {
	t.Helper()
	dir := t.TempDir()
	clients := filepath.Join(dir, "clients")
	if err := os.Mkdir(clients, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := curve.CreateCertificate(dir, "server", nil)
	if err != nil {
		t.Fatal(err)
	}
	good, err := curve.CreateCertificate(clients, "good", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, unknown := curve.GenerateKeyPair()
	return &trust{dir: dir, server: server.Public, secret: server.Secret, good: good.Secret, unknown: unknown}
}

func (k *trust) clients() string { return filepath.Join(k.dir, "clients") }

// pair is a key as Python's peers take it.
func pair(k curve.SecretKey) []string { return []string{k.Public().String(), k.Z85()} }

// flags are those of our programs.
func (k *trust) flags() []string {
	if k == nil {
		return nil
	}
	return []string{"--curve-secret", filepath.Join(k.dir, "server.key_secret"), "--curve-clients", k.clients()}
}

// serverSide completes the command for a Python server, clientSide the one for a Python client.
func (k *trust) serverSide(c command) command {
	if k != nil {
		c["key"], c["clients"] = pair(k.secret), k.clients()
	}
	return c
}

func (k *trust) clientSide(c command, key curve.SecretKey) command {
	if k != nil {
		c["key"], c["server"] = pair(key), k.server.String()
	}
	return c
}

// relay is a router under test. The servers are those that must behave alike.
type relay struct {
	endpoint string
	python   bool // it is Very Powerful Agents' own
	strict   bool // it passes only what an agent of Very Powerful Agents survives

	redis string // the broker of a mesh
}

type relayServer struct {
	name  string
	start func(testing.TB, *trust) relay
}

var relays = []relayServer{
	{"agentmesh router", func(t testing.TB, k *trust) relay {
		p := start(t, nil, bin, append([]string{"router", "--bind", anyPort}, k.flags()...)...)
		return relay{endpoint: p.ready(t)["bind"]}
	}},
	{"agentmesh serve", func(t testing.TB, k *trust) relay {
		p := start(t, nil, bin, append([]string{
			"serve", "--dev", "--name", "mesh", "--relay", "open", "--redis", "embedded", "--embedded-addr", "127.0.0.1:0", "--zmq", anyPort, "--http", "127.0.0.1:0",
		}, k.flags()...)...)
		ready := p.ready(t)
		return relay{endpoint: ready["zmq"], strict: true, redis: ready["redis"]}
	}},
	{"Python router", func(t testing.TB, k *trust) relay {
		r := vpa(t).open("router", k.serverSide(command{"do": "router", "address": "tcp://127.0.0.1:*"}))
		return relay{endpoint: r.bound, python: true}
	}},
}

// broker is a notification broker under test.
type broker struct{ pub, sub string }

var brokers = []struct {
	name  string
	start func(testing.TB, *trust) broker
}{
	{"agentmesh broker", func(t testing.TB, k *trust) broker {
		p := start(t, nil, bin, append([]string{"broker", "--pub", anyPort, "--sub", anyPort}, k.flags()...)...)
		ready := p.ready(t)
		return broker{ready["pub"], ready["sub"]}
	}},
	{"agentmesh serve", func(t testing.TB, k *trust) broker {
		p := start(t, nil, bin, append([]string{
			"serve", "--redis", "embedded", "--embedded-addr", "127.0.0.1:0", "--zmq", "", "--http", "",
			"--notify-pub", anyPort, "--notify-sub", anyPort,
		}, k.flags()...)...)
		ready := p.ready(t)
		return broker{ready["notify-pub"], ready["notify-sub"]}
	}},
	{"Python broker", func(t testing.TB, k *trust) broker {
		b := vpa(t).open("broker", k.serverSide(command{"do": "broker", "pub": "tcp://127.0.0.1:*", "sub": "tcp://127.0.0.1:*"}))
		bounds := strings.Split(b.bound, ",")
		return broker{bounds[0], bounds[1]}
	}},
}
