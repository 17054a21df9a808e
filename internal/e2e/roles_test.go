package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// role is a running command and the fields of its ready line.
type role struct {
	*process
	ready map[string]string
}

func startRole(t *testing.T, args ...string) role {
	t.Helper()
	p := start(t, nil, "agentmesh", args...)
	return role{p, readyFields(t, p.line("the ready line"))}
}

// readyFields reads a ready line.
func readyFields(t *testing.T, line string) map[string]string {
	t.Helper()
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "ready" {
		t.Fatalf("the first line is %q, not ready", line)
	}
	fields := map[string]string{}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		fields[name] = value
	}
	return fields
}

// interrupted ends it as a person or systemd does and looks at how it ended.
func (r role) interrupted(t *testing.T, logged string) {
	t.Helper()
	r.end(syscall.SIGTERM)
	if code := r.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(r.logs.tail(4000), logged) {
		t.Errorf("interrupted, it ended with %d and logged %q; want 0 and %q", code, r.logs.tail(4000), logged)
	}
}

// says waits for words in its log.
func (r role) says(t *testing.T, words string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(r.logs.tail(4000), words); {
		if time.Now().After(deadline) {
			t.Fatalf("it does not log %q but %s", words, r.logs.tail(4000))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// pySocket is a libzmq socket in a Python of its own.
type pySocket struct {
	*process
	t *testing.T
}

type pyOptions struct {
	ID     string `json:"id,omitempty"`
	Server string `json:"server,omitempty"` // the server's .key
	Own    string `json:"own,omitempty"`    // a .key_secret
}

// pyEvent is what happened at a pySocket.
type pyEvent struct {
	Got     []string `json:"got"`
	Up      bool     `json:"up"`
	Refused int      `json:"refused"`
}

func newPySocket(t *testing.T, kind, endpoint string, o pyOptions) pySocket {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import zmq").CombinedOutput(); err != nil {
		t.Fatalf("pyzmq is missing; install it with: apt-get install -y python3-zmq\n%s", out)
	}
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return pySocket{start(t, nil, python, "testdata/driven.py", kind, endpoint, string(options)), t}
}

// up waits for the handshake.
func (s pySocket) up() pySocket {
	s.t.Helper()
	if e := s.next(); !e.Up {
		s.t.Fatalf("instead of connecting: %+v", e)
	}
	return s
}

func (s pySocket) next() (e pyEvent) {
	s.t.Helper()
	line := s.line("something to happen at a Python socket")
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
	return e
}

// got returns the next message, whose bytes are Latin-1 in Go's strings, UTF-8.
func (s pySocket) got(want ...string) {
	s.t.Helper()
	if e := s.next(); !slices.Equal(e.Got, want) {
		s.t.Fatalf("a Python socket got %+v, want %q", e, want)
	}
}

func (s pySocket) send(frames ...string)    { s.t.Helper(); s.do("send", frames) }
func (s pySocket) subscribe(topic string)   { s.t.Helper(); s.do("subscribe", topic) }
func (s pySocket) unsubscribe(topic string) { s.t.Helper(); s.do("unsubscribe", topic) }

func (s pySocket) do(what string, with any) {
	s.t.Helper()
	command, err := json.Marshal(map[string]any{what: with})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.in, "%s\n", command); err != nil {
		s.t.Fatal(err)
	}
}

// keyring makes keys with the command line: a server's, those of ann and bob, who are trusted, and of eve.
type keyring struct{ dir string }

func newKeyring(t *testing.T) keyring {
	t.Helper()
	k := keyring{t.TempDir()}
	for name, dir := range map[string]string{"server": "server", "ann": "trusted", "bob": "trusted", "eve": "strangers"} {
		out, err := run(t, "", "keys", "create", name, "--dir", filepath.Join(k.dir, dir), "--metadata", "email="+name+"@example.org")
		if err != nil || len(out) != 40 {
			t.Fatalf("keys create: %q, %v", out, err)
		}
	}
	return k
}

func (k keyring) server() []string {
	return []string{"--curve-secret", filepath.Join(k.dir, "server/server.key_secret"), "--curve-clients", filepath.Join(k.dir, "trusted")}
}

func (k keyring) public() string { return filepath.Join(k.dir, "server/server.key") }

func (k keyring) own(name string) string {
	dir := "trusted"
	if name == "eve" {
		dir = "strangers"
	}
	return filepath.Join(k.dir, dir, name+".key_secret")
}

func (k keyring) of(name string) pyOptions {
	return pyOptions{ID: name, Server: k.public(), Own: k.own(name)}
}

func TestRouterCommand(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	for name, c := range map[string]struct {
		args []string
		as   func(name string) pyOptions
	}{
		"plaintext": {nil, func(name string) pyOptions { return pyOptions{ID: name} }},
		"curve":     {k.server(), k.of},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRole(t, append([]string{"router", "--bind", "tcp://127.0.0.1:0", "--bind", "ipc://" + t.TempDir() + "/r"}, c.args...)...)
			binds := strings.Split(r.ready["bind"], ",")
			if len(binds) != 2 || !strings.HasPrefix(binds[0], "tcp://127.0.0.1:") || strings.HasSuffix(binds[0], ":0") {
				t.Fatalf("ready says %v", r.ready)
			}
			ann := newPySocket(t, "DEALER", binds[0], c.as("ann")).up()
			bob := newPySocket(t, "DEALER", binds[1], c.as("bob")).up()
			bob.send("bob", "here") // the relay knows him
			bob.got("bob", "here")
			ann.send("nobody", "\x01", "lost")
			ann.send("bob", "\x01", "hello")
			ann.send("bob", "\x02", "\u00ff\x00\u00fe", "", "more")
			ann.send("bob")
			bob.got("ann", "\x01", "hello")
			bob.got("ann", "\x02", "\u00ff\x00\u00fe", "", "more")
			bob.got("ann")
			bob.send("ann", "\x01", strings.Repeat("x", 200_000))
			ann.got("bob", "\x01", strings.Repeat("x", 200_000))
			r.interrupted(t, "passed=5 unroutable=1")
		})
	}
}

// TestRolesKilled: libzmq peers find a router and a broker again that were killed and started anew, with their
// names and subscriptions; and a peer that was killed comes back under its name.
func TestRolesKilled(t *testing.T) {
	t.Parallel()
	router := startRole(t, "router", "--bind", "tcp://127.0.0.1:0")
	broker := startRole(t, "broker", "--pub", "tcp://127.0.0.1:0", "--sub", "tcp://127.0.0.1:0")
	ann := newPySocket(t, "DEALER", router.ready["bind"], pyOptions{ID: "ann"}).up()
	bob := newPySocket(t, "DEALER", router.ready["bind"], pyOptions{ID: "bob"}).up()
	pub := newPySocket(t, "PUB", broker.ready["pub"], pyOptions{}).up()
	sub := newPySocket(t, "SUB", broker.ready["sub"], pyOptions{}).up()
	sub.subscribe("game")
	untilHeard(t, pub, sub, "game")

	router.kill()
	broker.kill()
	router = startRole(t, "router", "--bind", router.ready["bind"])
	startRole(t, "broker", "--pub", broker.ready["pub"], "--sub", broker.ready["sub"])
	for _, p := range []pySocket{ann, bob, pub, sub} {
		p.up()
	}
	ann.send("bob", "\x01", "again")
	bob.got("ann", "\x01", "again")
	untilHeard(t, pub, sub, "game")

	bob.kill()
	bob = newPySocket(t, "DEALER", router.ready["bind"], pyOptions{ID: "bob"}).up()
	bob.send("ann", "\x01", "back")
	ann.got("bob", "\x01", "back")
	ann.send("bob", "\x01", "welcome")
	bob.got("ann", "\x01", "welcome")
}

// TestRouterCommandTrust: whose keys may connect, and that the directory is looked at again.
func TestRouterCommandTrust(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	r := startRole(t, append([]string{"router", "--bind", "tcp://127.0.0.1:0"}, k.server()...)...)
	if shown, err := run(t, "", "keys", "show", k.public()); err != nil || shown != r.ready["curve-server"] {
		t.Errorf("ready says curve-server=%s, keys show %q, %v", r.ready["curve-server"], shown, err)
	}
	if e := newPySocket(t, "DEALER", r.ready["bind"], k.of("eve")).next(); e.Refused != 400 {
		t.Errorf("a stranger: %+v, want refused with 400", e)
	}
	newPySocket(t, "DEALER", r.ready["bind"], k.of("ann")).up()
	r.says(t, "a connection was refused")
	public, err := os.ReadFile(filepath.Join(k.dir, "strangers/eve.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir, "trusted/eve.key"), public, 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !newPySocket(t, "DEALER", r.ready["bind"], k.of("eve")).next().Up; {
		if time.Now().After(deadline) {
			t.Fatal("her key is in the directory and she is still refused")
		}
	}
	// A certificate of pyzmq's own making, and a server that takes any key.
	script := "import sys, zmq.auth; zmq.auth.create_certificates(sys.argv[1], 'py', {'email': 'a@b'})"
	if out, err := exec.Command(python, "-c", script, k.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	py := filepath.Join(k.dir, "py.key_secret")
	anyone := startRole(t, "router", "--bind", "tcp://127.0.0.1:0", "--curve-secret", py, "--curve-clients", "any")
	newPySocket(t, "DEALER", anyone.ready["bind"], pyOptions{Server: filepath.Join(k.dir, "py.key"), Own: k.own("bob")}).up()
}

func TestBrokerCommand(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	for name, c := range map[string]struct {
		args []string
		as   func(name string) pyOptions
	}{
		"plaintext": {nil, func(string) pyOptions { return pyOptions{} }},
		"curve":     {k.server(), k.of},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"broker", "--pub", "tcp://127.0.0.1:0", "--sub", "tcp://127.0.0.1:0", "--sub", "ipc://" + t.TempDir() + "/s"}
			r := startRole(t, append(args, c.args...)...)
			subs := strings.Split(r.ready["sub"], ",")
			if len(subs) != 2 {
				t.Fatalf("ready says %v", r.ready)
			}
			// The subscriber is first, the publisher late.
			game := newPySocket(t, "SUB", subs[0], c.as("ann")).up()
			game.subscribe("game")
			pub := newPySocket(t, "PUB", r.ready["pub"], c.as("bob")).up()
			n := untilHeard(t, pub, game, "game")
			// A late subscriber with another prefix; both get what is for both.
			all := newPySocket(t, "SUB", subs[1], c.as("bob")).up()
			all.subscribe("")
			untilHeard(t, pub, all, "other")
			pub.send("gameover", "\x00", "\u00ff\x00", "extra")
			game.skipTo("gameover", "\x00", "\u00ff\x00", "extra")
			all.skipTo("gameover", "\x00", "\u00ff\x00", "extra")
			// A second, late publisher needs nobody to subscribe again.
			late := newPySocket(t, "PUB", r.ready["pub"], c.as("ann")).up()
			untilHeard(t, late, game, "game")
			// After the end of a subscription its topic comes no more, the other one does.
			game.subscribe("news")
			untilHeard(t, pub, game, "news")
			game.unsubscribe("game")
			for left := 200; ; left-- {
				if left == 0 {
					t.Fatal("what was unsubscribed still comes")
				}
				n++
				pub.send("game", "\x00", fmt.Sprint("last ", n))
				pub.send("news", "\x00", fmt.Sprint("last ", n))
				if game.nextOf(fmt.Sprint("last ", n)) == "news" {
					break
				}
				game.skipTo("news", "\x00", fmt.Sprint("last ", n))
			}
			r.interrupted(t, "dropped=0")
		})
	}
}

// untilHeard publishes under a topic until a subscriber hears of it: before, a subscription is on its way.
func untilHeard(t *testing.T, pub, sub pySocket, topic string) (n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); n++ {
		text := fmt.Sprint(topic, n)
		pub.send(topic, "\x00", text)
		select {
		case line := <-sub.out:
			var e pyEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if len(e.Got) == 3 && e.Got[0] == topic {
				pub.send(topic, "\x00", "end of "+text)
				sub.skipTo(topic, "\x00", "end of "+text)
				return n
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("nothing is heard of %s", topic)
	return 0
}

// skipTo reads up to a message.
func (s pySocket) skipTo(want ...string) {
	s.t.Helper()
	for {
		if e := s.next(); slices.Equal(e.Got, want) {
			return
		}
	}
}

// nextOf returns the topic of the next message with this payload.
func (s pySocket) nextOf(payload string) string {
	s.t.Helper()
	for {
		if e := s.next(); len(e.Got) == 3 && e.Got[2] == payload {
			return e.Got[0]
		}
	}
}

// TestServeOverCurve: sessions and notifications through an agent that encrypts, from the command line and from Python.
func TestServeOverCurve(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	k := newKeyring(t)
	a := startRole(t, append([]string{
		"serve", "--name", "locked", "--redis", m.redis.URL, "--http", "", "--zmq", "tcp://127.0.0.1:0",
		"--notify-pub", "tcp://127.0.0.1:0", "--notify-sub", "tcp://127.0.0.1:0",
	}, k.server()...)...)
	ann, bob := login(t, m.redis.URL, "ann"), login(t, m.redis.URL, "bob")
	client := func(own string, args ...string) []string {
		return append(args, "--session", "-", "--zmq", a.ready["zmq"], "--curve-server", a.ready["curve-server"], "--curve-secret", own)
	}
	t.Run("session", func(t *testing.T) {
		py := newPySocket(t, "DEALER", a.ready["zmq"], k.of("bob")).up()
		py.send(fmt.Sprintf(`{"type":"Login","id":"l","from":{"type":"User","id":"bob","session":%q}}`, bob))
		if e := py.next(); len(e.Got) != 1 || !strings.Contains(e.Got[0], `"Ack"`) {
			t.Fatalf("Login over CURVE: %+v", e)
		}
		out, err := run(t, ann, client(k.own("ann"), "send", "--redis", m.redis.URL, "--user", "bob", "over CURVE")...)
		if err != nil || !strings.Contains(out, "Ack") {
			t.Fatalf("send: %q, %v", out, err)
		}
		if e := py.next(); len(e.Got) != 1 || !strings.Contains(e.Got[0], "over CURVE") {
			t.Fatalf("bob got %+v", e)
		}
		ear := role{process: start(t, nil, "agentmesh", client(k.own("ann"), "listen", "--redis", m.redis.URL)...)}
		fmt.Fprintln(ear.in, ann)
		ear.says(t, "listening as ann")
		py.send(`{"type":"DirectMessage","id":"d","to":{"type":"User","id":"ann"},"message":"back"}`)
		if heard := ear.line("what bob says"); !strings.Contains(heard, `"back"`) {
			t.Errorf("ann hears %s", heard)
		}
	})
	t.Run("notifications", func(t *testing.T) {
		sub := newPySocket(t, "SUB", a.ready["notify-sub"], k.of("ann")).up()
		sub.subscribe("game")
		untilHeard(t, newPySocket(t, "PUB", a.ready["notify-pub"], k.of("bob")).up(), sub, "game")
		if e := newPySocket(t, "SUB", a.ready["notify-sub"], k.of("eve")).next(); e.Refused != 400 {
			t.Errorf("a stranger at the notifications: %+v", e)
		}
	})
	t.Run("wrong keys", func(t *testing.T) {
		other, err := run(t, "", "keys", "show", k.own("ann"))
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			args []string
			want string
		}{
			"untrusted":    {client(k.own("eve"), "send", "--as", "ann", "--user", "bob", "x"), "our key is not welcome"},
			"wrong server": {[]string{"send", "--session", "-", "--zmq", a.ready["zmq"], "--curve-server", other, "--as", "ann", "--user", "bob", "--timeout", "3s", "x"}, "not the one that --curve-server says"},
			"plaintext":    {[]string{"send", "--session", "-", "--zmq", a.ready["zmq"], "--as", "ann", "--user", "bob", "--timeout", "3s", "x"}, "say --curve-server"},
			"at plaintext": {[]string{"send", "--session", "-", "--zmq", m.a.zmq, "--curve-server", other, "--as", "ann", "--user", "bob", "--timeout", "3s", "x"}, "doesn't use CURVE"},
			"listen":       {client(k.own("eve"), "listen", "--as", "ann"), "our key is not welcome"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				out, err := run(t, ann, c.args...)
				if code := exitCode(err); code != 1 || !strings.Contains(fmt.Sprint(err), c.want) {
					t.Errorf("exit status %d, %q, %v; want 1 and %q", code, out, err, c.want)
				}
			})
		}
	})
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// TestCurveMistakes: every one is answered by what to do next.
func TestCurveMistakes(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	at := func(path string) string { return filepath.Join(k.dir, path) }
	empty, bad, mixed := at("empty"), at("bad.key"), at("mixed")
	for _, dir := range []string{empty, mixed} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{bad, filepath.Join(mixed, "bad.key")} {
		if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret, trusted := at("server/server.key_secret"), at("trusted")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"router --bind tcp://*:0", 2, "agentmesh keys create"},
		{"broker --pub tcp://0.0.0.0:0 --sub tcp://127.0.0.1:0", 2, "--pub tcp://0.0.0.0:0: other machines"},
		{"broker --pub tcp://127.0.0.1:0 --sub tcp://[::]:0", 2, "--sub tcp://[::]:0: other machines"},
		{"serve --http= --zmq tcp://*:0", 2, "--curve-secret"},
		{"serve --http= --zmq= --notify-pub tcp://*:0 --notify-sub tcp://127.0.0.1:0", 2, "--notify-pub tcp://*:0"},
		{"serve --notify-pub tcp://127.0.0.1:0", 2, "need each other"},
		{"router --bind 127.0.0.1:5", 2, "want tcp://host:port"},
		{"router --bind=", 2, "no endpoint"},
		{"router --curve-secret " + secret, 2, "--curve-secret needs --curve-clients"},
		{"broker --curve-clients any", 2, "--curve-clients needs --curve-secret"},
		{"router --curve-clients any --curve-secret " + at("server/server.key"), 1, ".key_secret"},
		{"router --curve-clients any --curve-secret " + at("none.key_secret"), 1, "agentmesh keys create"},
		{"router --curve-clients any --curve-secret " + bad, 1, "as `agentmesh keys create` and pyzmq make them"},
		{"router --curve-clients " + at("none") + " --curve-secret " + secret, 1, "make it and put"},
		{"router --curve-clients " + bad + " --curve-secret " + secret, 1, "is no directory"},
		{"router --curve-clients " + mixed + " --curve-secret " + secret, 1, "mend that file"},
		{"router extra", 2, "extra"},
		{"router --nonsense", 2, "nonsense"},
		{"nonsense", 2, "nonsense"},
		{"listen --session x --curve-secret " + secret, 2, "needs --curve-server"},
		{"listen --session x --curve-server short", 1, "keys show"},
		{"listen --session x --curve-server " + bad, 1, "wanted is the server's .key file"},
		{"listen --session x --ws ws://127.0.0.1:1 --curve-server " + k.public(), 2, "ws"},
		{"send --session x --user u --curve-server " + k.public() + " --curve-secret " + k.public() + " hi", 1, ".key_secret"},
		{"keys create", 2, "arg"},
		{"keys create a/b", 2, "--dir"},
		{"keys create x --metadata novalue", 2, "KEY=VALUE"},
		{"keys create server --dir " + at("server"), 1, "never overwritten"},
		{"keys show " + at("none.key"), 1, "agentmesh keys create"},
		{"keys show --secret " + k.public(), 1, ".key_secret"},
		{"keys show " + bad, 1, "wanted is"},
	} {
		out, err := run(t, "", strings.Fields(c.args)...)
		if code := exitCode(err); code != c.code || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: exit status %d, %v; want %d and %q", c.args, code, err, c.code, c.want)
		}
		if out != "" {
			t.Errorf("%s: prints %q", c.args, out)
		}
	}
	nobody := startRole(t, "router", "--bind", "tcp://127.0.0.1:0", "--curve-clients", empty, "--curve-secret", secret)
	nobody.says(t, "nobody can connect yet")
	startRole(t, "broker", "--pub", "tcp://127.0.0.1:0", "--sub", "tcp://*:0", "--curve-clients", trusted, "--curve-secret", secret)
	startRole(t, "router", "--bind", "tcp://*:0", "--insecure")
}

func TestKeysCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	printed, err := run(t, "", "keys", "create", "ann", "--dir", filepath.Join(dir, "new"), "--metadata", "email=a,b@c", "--metadata", "team=red = blue")
	if err != nil {
		t.Fatal(err)
	}
	public, secret := filepath.Join(dir, "new/ann.key"), filepath.Join(dir, "new/ann.key_secret")
	for _, file := range []string{public, secret} {
		if shown, err := run(t, "", "keys", "show", file); err != nil || shown != printed {
			t.Errorf("keys show %s: %q, %v; created %q", file, shown, err, printed)
		}
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "email = a,b@c") || !strings.Contains(string(text), "red = blue") {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret file: %v, %v", info.Mode(), err)
	}
	shown, err := run(t, "", "keys", "show", "--secret", secret)
	if text, _ := os.ReadFile(secret); err != nil || len(shown) != 40 || shown == printed || !strings.Contains(string(text), `secret-key = "`+shown+`"`) {
		t.Errorf("keys show --secret: %d characters, %v", len(shown), err)
	}
}
