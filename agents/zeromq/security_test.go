package zeromq_test

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

var passwords = &zeromq.AccessList{CheckPassword: func(_ context.Context, user, password string) bool {
	return user == "ann" && subtle.ConstantTimeCompare([]byte(password), []byte("secret")) == 1
}}

func plainClient(user, password string) zeromq.Security {
	return zeromq.Security{PlainUsername: user, PlainPassword: password}
}

// libzmq 4.3 misspells ERROR in PLAIN; its refusal is understood all the same.
func TestRefusalByLibzmq(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, word := range []string{"\x05ERROR\x03400", "^RROR\x03400"} {
		s := newSocket(t, zmq4.Req, zeromq.Options{Security: plainClient("u", "p")})
		refused := monitor(t, s, zeromq.Refused)
		if err := s.Dial("tcp://" + l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		plain := greeting()
		copy(plain[12:], "PLAIN")
		conn.Write(join(plain, frame(4, []byte(word))))
		if e := <-refused; !errors.Is(e.Reason, zeromq.ErrUnauthorized) {
			t.Errorf("%q: %v", word, e.Reason)
		}
		s.Close()
		conn.Close()
	}
}

// expectRefused waits until libzmq has understood that it is refused for good.
func expectRefused(t testing.TB, e *pyEnd) {
	t.Helper()
	eventually(t, "libzmq is refused", func() bool {
		e.dof(t, "lost")
		var lost, refused int
		if _, err := fmt.Sscan(e.line(t), &lost, &refused); err != nil {
			t.Fatal(err)
		}
		return refused == 1
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		name string
		list zeromq.AccessList
		ok   bool
	}{
		{"nothing said", zeromq.AccessList{}, true},
		{"allowed", zeromq.AccessList{Allow: local, Deny: elsewhere}, true},
		{"not allowed", zeromq.AccessList{Allow: elsewhere}, false},
		{"denied", zeromq.AccessList{Allow: local, Deny: local}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, url := bound(t, zmq4.Pull, zeromq.Options{Security: zeromq.Security{Auth: &c.list}})
			py := newPyEnd(t, zmq4.Push, "connect", url)
			if !c.ok {
				expectRefused(t, py)
				return
			}
			py.send(t, [][]byte{[]byte("x")})
			want(t, s, "x")
		})
	}
}

// What a stranger says instead of HELLO, or after it, costs his connection only.
func TestHostilePlain(t *testing.T) {
	t.Parallel()
	rep, url := bound(t, zmq4.Rep, zeromq.Options{Security: zeromq.Security{PlainServer: true, Auth: passwords}})
	plain := greeting()
	copy(plain[12:], "PLAIN")
	ready := join(property("Socket-Type", "REQ"), property("Identity", ""))
	for name, b := range map[string][]byte{
		"READY at once":      join(plain, command("READY", ready)),
		"INITIATE at once":   join(plain, command("INITIATE", ready)),
		"empty HELLO":        join(plain, command("HELLO", nil)),
		"HELLO cut":          join(plain, command("HELLO", []byte("\x03ann\x09secret"))),
		"HELLO and more":     join(plain, command("HELLO", []byte("\x03ann\x06secretmore"))),
		"no password":        join(plain, command("HELLO", []byte("\x03ann\x00"))),
		"NULL":               hello("REQ", ""),
		"bad metadata":       join(plain, command("HELLO", []byte("\x03ann\x06secret")), command("INITIATE", []byte("\xffx"))),
		"no metadata":        join(plain, command("HELLO", []byte("\x03ann\x06secret")), command("INITIATE", nil)),
		"HELLO of 64 GiB":    join(plain, header(4, 64<<30)),
		"message, not HELLO": join(plain, frame(0, []byte("\x05HELLO\x03ann\x06secret"))),
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialRaw(t, url[len("tcp://"):])
			conn.Write(b)
			expectClosed(t, conn)
		})
	}
	if rep.Peers() != 0 {
		t.Errorf("%d peers", rep.Peers())
	}
}

func TestSecurityIsValidated(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]zeromq.Security{
		"nothing checked": {PlainServer: true},
		"both roles":      {PlainServer: true, Auth: passwords, PlainUsername: "x"},
		"two mechanisms":  {PlainUsername: "x", CurveClient: newKeys().asks().CurveClient},
		"both of CURVE":   {CurveServer: newKeys().serves().CurveServer, CurveClient: newKeys().asks().CurveClient},
		"no key":          {CurveServer: &zeromq.CurveServer{Authorise: curve.AnyKey}},
		"no server key":   {CurveClient: &zeromq.CurveClient{}},
		"no Authorise":    {CurveServer: &zeromq.CurveServer{Secret: newKeys().serverSecret}},
		"long":            plainClient(string(make([]byte, 256)), ""),
	} {
		if _, err := zeromq.NewSocket(context.Background(), zmq4.Req, zeromq.Options{Security: s}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := zeromq.NewRouter(zeromq.RouterConfig{Bind: []string{"tcp://127.0.0.1:0"}, Security: s}); err == nil {
			t.Errorf("%s: accepted by the Router", name)
		}
	}
}
