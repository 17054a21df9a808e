package interop_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// secured are the servers, by the endpoint that a DEALER or a SUB may knock at.
func secured() map[string]func(testing.TB, *trust) (string, string) {
	list := map[string]func(testing.TB, *trust) (string, string){}
	for _, s := range relays {
		list[s.name] = func(t testing.TB, k *trust) (string, string) { return "DEALER", s.start(t, k).endpoint }
	}
	for _, s := range brokers {
		list[s.name+", notifications"] = func(t testing.TB, k *trust) (string, string) { return "SUB", s.start(t, k).sub }
	}
	return list
}

// TestUnknownKey: a client whose key is not among those trusted is told so once and for all; without CURVE,
// or with the wrong key for the server, nobody comes in.
func TestUnknownKey(t *testing.T) {
	t.Parallel()
	for name, start := range secured() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newTrust(t)
			kind, endpoint := start(t, k)
			p := libzmq(t)
			try := func(name string, c command) *remote {
				c["type"], c["connect"], c["monitor"], c["id"] = kind, endpoint, true, inHex([]string{name})[0]
				return p.open(name, c)
			}
			handshake := func(r *remote, event string, value int) {
				t.Helper()
				got := r.await("end of the handshake", func(h happened) bool { return len(h.Event) > 9 && h.Event[:9] == "HANDSHAKE" })
				if got.Event != event || (value != 0 && got.Value != value) {
					t.Errorf("%s: %s %d, want %s %d", r.name, got.Event, got.Value, event, value)
				}
			}
			handshake(try("good", k.clientSide(command{}, k.good)), "HANDSHAKE_SUCCEEDED", 0)
			handshake(try("unknown", k.clientSide(command{}, k.unknown)), "HANDSHAKE_FAILED_AUTH", 400)
			other, _ := curve.GenerateKeyPair()
			handshake(try("misled", command{"key": pair(k.good), "server": other.String()}), "HANDSHAKE_FAILED_NO_DETAIL", 0)
			plain := try("plain", command{})
			got := plain.await("end of the handshake", func(h happened) bool { return len(h.Event) > 9 && h.Event[:9] == "HANDSHAKE" })
			if got.Event == "HANDSHAKE_SUCCEEDED" {
				t.Error("a client without CURVE is let in")
			}

			refused := dial(t, zmq4.SocketType(kind), "go", endpoint, k, k.unknown)
			await400(t, refused)
		})
	}
}

// await400 waits until a socket of ours is refused with the code for unknown keys.
func await400(t testing.TB, s ours) {
	t.Helper()
	reasons := make(chan error, 16)
	events := s.Monitor().Subscribe(t.Context(), func(e zeromq.MonitorEvent) {
		if e.Reason != nil {
			select {
			case reasons <- e.Reason:
			default:
			}
		}
	}, nil, nil)
	t.Cleanup(func() { <-events.Done() })
	timeout := time.After(patience)
	for {
		select {
		case reason := <-reasons:
			var refused *curve.RefusedError
			if !errors.As(reason, &refused) {
				continue
			}
			if refused.Code != "400" {
				t.Errorf("refused with %q, want 400", refused.Code)
			}
			return
		case <-timeout:
			t.Fatal("an unknown key of ours is not refused")
		}
	}
}

// TestCertificates: key files are read by who did not write them.
func TestCertificates(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *python{"libzmq": libzmq, "Very Powerful Agents": vpa} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, theirs, mine := open(t), t.TempDir(), t.TempDir()
			p.ask(command{"do": "certificates", "dir": theirs, "name": "theirs"})
			read, err := curve.LoadCertificate(filepath.Join(theirs, "theirs.key_secret"))
			if err != nil {
				t.Fatal(err)
			}
			got := p.ask(command{"do": "load", "file": filepath.Join(theirs, "theirs.key_secret")}).Keys
			if want := pair(read.Secret); !slices.Equal(got, want) || read.Public.String() != want[0] {
				t.Error("we read other keys than they")
			}
			if email := read.Metadata.Get("email"); email != "a@b" {
				t.Errorf("metadata: email is %q", email)
			}
			all, err := curve.LoadDirectory(theirs)
			if err != nil || len(all) != 1 || all[0].Public != read.Public {
				t.Errorf("the directory holds %v, %v", len(all), err)
			}

			made, err := curve.CreateCertificate(mine, "mine", curve.Metadata{{Name: "email", Value: "a@b"}})
			if err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string][]string{
				"mine.key": {made.Public.String(), ""}, "mine.key_secret": pair(made.Secret),
			} {
				if got := p.ask(command{"do": "load", "file": filepath.Join(mine, file)}).Keys; !slices.Equal(got, want) {
					t.Errorf("%s: they read other keys than we", file)
				}
			}
			if got := p.ask(command{"do": "load", "dir": mine}).Keys; !slices.Equal(got, []string{made.Public.String()}) {
				t.Error("they read other keys in the directory than we")
			}
			if info, err := os.Stat(filepath.Join(mine, "mine.key_secret")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the secret file: %v, %v; want mode 0600", info.Mode(), err)
			}
		})
	}
}
