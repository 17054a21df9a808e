package zeromq_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// mechanism is how the two ends of a connection can be secured, on our side and on libzmq's.
type mechanism struct {
	name             string
	serves, asks     zeromq.Security
	pyServes, pyAsks []string // options of remote.py
	userID           string   // that the server learns
}

var mechanisms = []mechanism{
	{name: "NULL", serves: zeromq.Security{Auth: zeromq.AuthFunc(byAddress)}, userID: "127.0.0.1"},
	{
		name: "PLAIN", serves: zeromq.Security{PlainServer: true, Auth: passwords}, asks: plainClient("ann", "secret"),
		pyServes: []string{"PLAIN_SERVER=1"}, pyAsks: plainOptions("ann", "secret"), userID: "ann",
	},
	newKeys().mechanism(),
}

// byAddress makes the address the user id.
func byAddress(_ context.Context, r zeromq.AuthRequest) (string, error) {
	if !r.Addr.IsValid() {
		return "local", nil
	}
	return r.Addr.String(), nil
}

func plainOptions(user, password string) []string {
	return []string{fmt.Sprintf("PLAIN_USERNAME=hex:%x", user), fmt.Sprintf("PLAIN_PASSWORD=hex:%x", password)}
}

// keys of one server and one client.
type keys struct {
	server, client             curve.PublicKey
	serverSecret, clientSecret curve.SecretKey
}

func newKeys() (k keys) {
	k.server, k.serverSecret = curve.GenerateKeyPair()
	k.client, k.clientSecret = curve.GenerateKeyPair()
	return k
}

func (k keys) mechanism() mechanism {
	return mechanism{name: "CURVE", serves: k.serves(), asks: k.asks(), pyServes: k.serveOptions(), pyAsks: k.askOptions(), userID: "ann"}
}

// only admits the client, as "ann".
func (k keys) only(_ context.Context, r curve.Request) (string, error) {
	if r.ClientKey != k.client {
		return "", errors.New("unknown key")
	}
	return "ann", nil
}

func (k keys) serves() zeromq.Security {
	return zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: k.serverSecret, Authorise: k.only}}
}

func (k keys) asks() zeromq.Security {
	return zeromq.Security{CurveClient: &zeromq.CurveClient{Server: k.server, Secret: k.clientSecret}}
}

func (k keys) serveOptions() []string {
	return []string{"CURVE_SERVER=1", fmt.Sprintf("CURVE_SECRETKEY=hex:%x", k.serverSecret.Z85())}
}

func (k keys) askOptions() []string {
	return []string{
		fmt.Sprintf("CURVE_SERVERKEY=hex:%x", k.server.String()),
		fmt.Sprintf("CURVE_PUBLICKEY=hex:%x", k.client.String()), fmt.Sprintf("CURVE_SECRETKEY=hex:%x", k.clientSecret.Z85()),
	}
}

// stranger knows the server and is not known to it.
func (k keys) stranger() keys {
	s := newKeys()
	s.server = k.server
	return s
}

// Who sent a message stands on the message and on the event of its connection, over every mechanism and
// whichever type of socket receives.
func TestUserIDs(t *testing.T) {
	t.Parallel()
	for _, m := range mechanisms {
		for _, p := range pairings {
			t.Run(fmt.Sprint(m.name, "/", p.a, "-", p.b), func(t *testing.T) {
				t.Parallel()
				b, url := bound(t, p.b, zeromq.Options{Security: m.serves})
				up := monitor(t, b, zeromq.PeerUp)
				a := dialled(t, p.a, zeromq.Options{Security: m.asks}, url)
				p.meet(t, ourEnd{a}, ourEnd{b})
				if e := <-up; e.Origin.UserID != m.userID || e.Origin.Mechanism != m.name || e.Endpoint != url {
					t.Errorf("up: %+v", e.Origin)
				}
				put(t, a, "hello")
				r, err := b.RecvFrames(timeout(t, patience))
				if err != nil || r.Origin.UserID != m.userID || r.Origin.Mechanism != m.name {
					t.Errorf("message of %+v, %v", r.Origin, err)
				}
			})
		}
		t.Run(m.name+"/Router", func(t *testing.T) {
			t.Parallel()
			r := startRouter(t, zeromq.RouterConfig{Security: m.serves}, func(msg zeromq.Message) {
				msg.Peer.Release(1)
				msg.Peer.Send([]byte(msg.Peer.UserID()), []byte(msg.Peer.Mechanism()), []byte(msg.Peer.RoutingID()))
			})
			d, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, RoutingID: "me", Security: m.asks})
			send(t, d, "who am I?")
			same(t, receive(t, d), [][]byte{[]byte(m.userID), []byte(m.name), []byte("me")})
		})
	}
}

// libzmq's monitor says HANDSHAKE_FAILED_AUTH with 400 to whoever is refused, and ours ErrUnauthorized.
func TestRefusals(t *testing.T) {
	t.Parallel()
	k := newKeys()
	nobody := &zeromq.AccessList{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	elsewhere := k.serves()
	elsewhere.Auth = nobody
	for _, c := range []struct {
		name         string
		serves, asks zeromq.Security
		pyAsks       []string
	}{
		{"NULL address", zeromq.Security{Auth: nobody}, zeromq.Security{}, nil},
		{"PLAIN password", mechanisms[1].serves, plainClient("ann", "wrong"), plainOptions("ann", "wrong")},
		{"PLAIN user", mechanisms[1].serves, plainClient("bob", "secret"), plainOptions("bob", "secret")},
		{"PLAIN address", zeromq.Security{PlainServer: true, Auth: nobody}, plainClient("ann", "secret"), plainOptions("ann", "secret")},
		{"CURVE key", k.serves(), k.stranger().asks(), k.stranger().askOptions()},
		{"CURVE address", elsewhere, k.asks(), k.askOptions()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, url := bound(t, zmq4.Rep, zeromq.Options{Security: c.serves})
			reported := monitor(t, b, zeromq.Refused)
			py := newPyEnd(t, zmq4.Req, "connect", url, c.pyAsks...)
			expectRefused(t, py)
			if e := <-reported; !errors.Is(e.Reason, zeromq.ErrUnauthorized) || e.Origin.Addr == "" {
				t.Errorf("reported %v of %+v", e.Reason, e.Origin)
			}
			a := newSocket(t, zmq4.Req, zeromq.Options{Security: c.asks})
			told := monitor(t, a, zeromq.Refused)
			a.Dial(url)
			if e := <-told; !errors.Is(e.Reason, zeromq.ErrUnauthorized) || !errors.Is(e.Reason, zeromq.ErrHandshake) {
				t.Errorf("told %v", e.Reason)
			}
			if b.Peers() != 0 {
				t.Errorf("%d peers", b.Peers())
			}
		})
	}
}

// Ends whose mechanisms differ never meet, and no server is called twice what it is not.
func TestMechanismsMustAgree(t *testing.T) {
	t.Parallel()
	k := newKeys()
	other := newKeys()
	other.client, other.clientSecret = k.client, k.clientSecret
	for name, c := range map[string][2]zeromq.Security{
		"NULL to PLAIN":    {mechanisms[1].serves, {}},
		"NULL to CURVE":    {k.serves(), {}},
		"PLAIN to CURVE":   {k.serves(), mechanisms[1].asks},
		"CURVE to NULL":    {{}, k.asks()},
		"CURVE to PLAIN":   {mechanisms[1].serves, k.asks()},
		"two servers":      {k.serves(), k.serves()},
		"wrong server key": {k.serves(), other.asks()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, url := bound(t, zmq4.Rep, zeromq.Options{Security: c[0], HandshakeTimeout: time.Second})
			a := newSocket(t, zmq4.Req, zeromq.Options{Security: c[1], HandshakeTimeout: time.Second})
			here, there := monitor(t, b, zeromq.Refused), monitor(t, a, zeromq.Refused)
			a.Dial(url)
			for _, e := range []zeromq.MonitorEvent{<-here, <-there} {
				if !errors.Is(e.Reason, zeromq.ErrHandshake) || errors.Is(e.Reason, zeromq.ErrUnauthorized) {
					t.Errorf("%v", e.Reason)
				}
			}
		})
	}
}

// The role does not depend on who binds.
func TestServersDial(t *testing.T) {
	t.Parallel()
	p := pairings[0]
	for _, m := range mechanisms[1:] {
		for _, py := range []bool{false, true} {
			t.Run(fmt.Sprint(m.name, "/libzmq binds ", py), func(t *testing.T) {
				t.Parallel()
				var b end
				var url string
				if py {
					e := newPyEnd(t, p.b, "bind", "tcp://127.0.0.1:*", m.pyAsks...)
					b, url = e, e.url
				} else {
					s, at := bound(t, p.b, zeromq.Options{Security: m.asks})
					b, url = ourEnd{s}, at
				}
				a := newSocket(t, p.a, zeromq.Options{Security: m.serves})
				up := monitor(t, a, zeromq.PeerUp)
				a.Dial(url)
				if e := <-up; e.Origin.UserID != m.userID {
					t.Errorf("up: %+v", e.Origin)
				}
				p.talk(t, ourEnd{a}, b, [][]byte{[]byte("x")})
			})
		}
	}
}
