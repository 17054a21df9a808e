package curve_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// echoServer serves with cfg; how each connection ended is sent to the channel.
func echoServer(t testing.TB, cfg curve.ServerConfig) (endpoint string, ends <-chan error) {
	ended := make(chan error, 100)
	return "tcp://" + listen(t, func(conn net.Conn) {
		c := curve.Server(conn, cfg)
		err := c.Handshake(context.Background())
		if err == nil {
			err = echo(c)
		}
		select {
		case ended <- err:
		default:
		}
	}), ended
}

func TestPythonClient(t *testing.T) {
	t.Parallel()
	server, cfg := serverConfig()
	public, secret := curve.GenerateKeyPair()
	for _, mode := range []string{"dealer", "heartbeat"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			requests := make(chan curve.Request, 10)
			cfg.Authorise = func(ctx context.Context, r curve.Request) (string, error) {
				requests <- r
				return curve.AnyKey(ctx, r)
			}
			endpoint, _ := echoServer(t, cfg)
			p := startPython(t, mode, endpoint, server.String(), public.String(), secret.Z85())
			if got := p.line(t); got != "OK" {
				t.Fatal(got)
			}
			r := <-requests
			if r.ClientKey != public || r.Metadata.Get("identity") != "py" || r.Metadata.Get("Socket-Type") != "DEALER" || r.RemoteAddr == nil {
				t.Errorf("request %+v", r)
			}
		})
	}
}

func TestPythonServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serverKey, serverSecret := curve.GenerateKeyPair()
	known, err := curve.CreateCertificate(dir, "known", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := startPython(t, "router", serverKey.String(), serverSecret.Z85(), dir)
	address := "127.0.0.1:" + p.line(t)

	cfg := curve.ClientConfig{Server: serverKey, Metadata: curve.SocketMetadata("DEALER", "go"), MaxFrame: 20 << 20}
	var refusal *curve.RefusedError
	if err := curve.Client(dial(t, address), cfg).Handshake(context.Background()); !errors.As(err, &refusal) || refusal.Code != "400" {
		t.Errorf("unknown key: %v", err)
	}
	other := cfg
	other.Server, _ = curve.GenerateKeyPair()
	if err := curve.Client(dial(t, address), other).Handshake(context.Background()); !errors.Is(err, curve.ErrHandshake) || errors.As(err, &refusal) {
		t.Errorf("wrong server key: %v", err)
	}

	cfg.Secret = known.Secret
	c := curve.Client(dial(t, address), cfg)
	if err := c.Handshake(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c.PeerKey() != serverKey || c.PeerMetadata().Get("Socket-Type") != "ROUTER" {
		t.Errorf("peer %v, %v", c.PeerKey(), c.PeerMetadata())
	}
	if _, minor := c.PeerVersion(); minor != 1 {
		t.Errorf("ZMTP 3.%d", minor)
	}
	if _, err := open(c); err != nil {
		t.Fatal(err)
	}
	pings := 0
	for _, sizes := range [][]int{{0}, {1}, {223}, {224}, {255}, {256}, {4096}, {65536}, {16 << 20}, {3, 0, 70000}, {0, 0, 0}} {
		var sent [][]byte
		for i, n := range sizes {
			body := make([]byte, n)
			rand.Read(body)
			sent = append(sent, body)
			flags := byte(1)
			if i == len(sizes)-1 {
				flags = 0
			}
			if _, err := c.Write(frame(flags, body)); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i < len(sent); {
			flags, body, err := readFrame(c)
			if err != nil {
				t.Fatal(err)
			}
			if flags == 4 { // a PING
				pings++
				c.Write(frame(4, []byte("\x04PONG")))
				continue
			}
			if !bytes.Equal(body, sent[i]) || (flags == 1) != (i < len(sent)-1) {
				t.Fatalf("frame %d of %v: flags %d, %d bytes", i, sizes, flags, len(body))
			}
			i++
		}
	}
	for pings < 2 { // within the box, while nothing is said
		flags, body, err := readFrame(c)
		if err != nil || flags != 4 || !bytes.HasPrefix(body, []byte("\x04PING")) {
			t.Fatalf("%d %q, %v", flags, body, err)
		}
		pings++
		c.Write(frame(4, []byte("\x04PONG")))
	}
}

func TestPythonClientIsRefused(t *testing.T) {
	t.Parallel()
	server, cfg := serverConfig()
	stranger, _ := curve.GenerateKeyPair()
	public, secret := curve.GenerateKeyPair()
	dir := t.TempDir()
	trusted, err := curve.TrustedKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Authorise = trusted
	endpoint, ends := echoServer(t, cfg)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"unknown key", []string{server.String(), public.String(), secret.Z85()}, []string{"AUTH 400"}},
		{"wrong server key", []string{stranger.String(), public.String(), secret.Z85()}, []string{"NO_DETAIL 104", "NO_DETAIL 32", "NO_DETAIL 0"}},
		{"NULL", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPython(t, append([]string{"monitor", endpoint}, c.args...)...)
			got := p.line(t)
			ok := len(c.want) == 0 && got[:4] != "SUCC"
			for _, w := range c.want {
				ok = ok || got == w || w[:4] == "NO_D" && got[:4] == "NO_D"
			}
			if !ok {
				t.Errorf("%q, want %q", got, c.want)
			}
			if err := <-ends; !errors.Is(err, curve.ErrHandshake) {
				t.Errorf("the server saw %v", err)
			}
		})
	}
	if err := (curve.Certificate{Public: public}).WritePublic(filepath.Join(dir, "now.key")); err != nil {
		t.Fatal(err)
	}
	// The directory was looked at less than a second ago: libzmq is refused for good, so ask anew.
	for {
		if got := startPython(t, "monitor", endpoint, server.String(), public.String(), secret.Z85()).line(t); got == "SUCCEEDED 0" {
			break
		} else if got != "AUTH 400" {
			t.Fatal(got)
		}
	}
}

func TestPythonCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := startPython(t, "create", dir, "theirs").line(t); got != "OK" {
		t.Fatal(got)
	}
	public, err := curve.LoadCertificate(filepath.Join(dir, "theirs.key"))
	if err != nil || !public.Secret.IsZero() {
		t.Fatal(public, err)
	}
	secret, err := curve.LoadCertificate(filepath.Join(dir, "theirs.key_secret"))
	if err != nil || secret.Public != public.Public || secret.Secret.Public() != public.Public {
		t.Fatal(secret, err)
	}
	if secret.Metadata.Get("email") != "a@b" || secret.Metadata.Get("note") != `he said "hi"` {
		t.Errorf("metadata %q", secret.Metadata)
	}

	ours, err := curve.CreateCertificate(dir, "ours", curve.Metadata{{Name: "name", Value: "A # B = C"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := startPython(t, "load", filepath.Join(dir, "ours.key")).line(t), ours.Public.String()+" -"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := startPython(t, "load", filepath.Join(dir, "ours.key_secret")).line(t), ours.Public.String()+" "+ours.Secret.Z85(); got != want {
		t.Error("the secret certificate reads differently")
	}
	info, err := os.Stat(filepath.Join(dir, "ours.key_secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	all, err := curve.LoadDirectory(dir)
	if err != nil || len(all) != 2 {
		t.Errorf("%d certificates, %v", len(all), err)
	}
}
