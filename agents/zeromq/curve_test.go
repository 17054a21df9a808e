package zeromq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

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

func TestCurveBetweenOurs(t *testing.T) {
	t.Parallel()
	k := newKeys()
	for _, p := range pairings {
		for _, serves := range []string{"bound", "dialled"} {
			t.Run(fmt.Sprint(p.a, "-", p.b, "/", serves, " serves"), func(t *testing.T) {
				t.Parallel()
				one, other := k.asks(), k.serves()
				if serves == "dialled" {
					one, other = other, one
				}
				b, url := bound(t, p.b, zeromq.Options{Security: other})
				up := monitor(t, b, zeromq.PeerUp)
				a := dialled(t, p.a, zeromq.Options{Security: one}, url)
				p.meet(t, ourEnd{a}, ourEnd{b})
				if e := <-up; e.Origin.Mechanism != "CURVE" || (e.Origin.UserID == "ann") != (serves == "bound") {
					t.Errorf("up: %+v", e.Origin)
				}
				for _, m := range messages() {
					p.talk(t, ourEnd{a}, ourEnd{b}, m)
				}
			})
		}
	}
}

func TestRouterAndDealerOverCurve(t *testing.T) {
	t.Parallel()
	k := newKeys()
	r := startRouter(t, zeromq.RouterConfig{Name: "agent", Security: k.serves(), MaxMessage: 2 << 20}, func(m zeromq.Message) {
		m.Peer.Release(1)
		m.Peer.Send(append(m.Frames, []byte(m.Peer.UserID()), []byte(m.Peer.Mechanism()), []byte(m.Peer.RoutingID()))...)
	})
	stranger := keys{server: k.server}
	bad, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, Security: stranger.asks()})
	if e := awaitConnected(t, bad, false); !errors.Is(e.Err, zeromq.ErrUnauthorized) {
		t.Errorf("refused with %v", e.Err)
	}
	if e := r.await(t, zeromq.Refused); !errors.Is(e.Reason, zeromq.ErrUnauthorized) {
		t.Errorf("refused because of %v", e.Reason)
	}
	good, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, RoutingID: "me", Security: k.asks(), MaxMessage: 2 << 20})
	for _, m := range messages() {
		if len(m) > 100 {
			continue // beyond MaxParts
		}
		if err := good.Send(timeout(t, patience), m...); err != nil {
			t.Fatal(err)
		}
		same(t, receive(t, good), append(m, []byte("ann"), []byte("CURVE"), []byte("me")))
	}
}

func TestCurveWithLibzmq(t *testing.T) {
	t.Parallel()
	k := newKeys()
	client := func(server, public curve.PublicKey, secret curve.SecretKey) []string {
		return []string{
			fmt.Sprintf("CURVE_SERVERKEY=hex:%x", server.String()),
			fmt.Sprintf("CURVE_PUBLICKEY=hex:%x", public.String()), fmt.Sprintf("CURVE_SECRETKEY=hex:%x", secret.Z85()),
		}
	}
	rep, url := bound(t, zmq4.Rep, zeromq.Options{Security: k.serves()})
	good := newPyEnd(t, zmq4.Req, "connect", url, client(k.server, k.client, k.clientSecret)...)
	good.send(t, [][]byte{[]byte("hi")})
	want(t, rep, "hi")
	put(t, rep, "ho")
	same(t, good.recv(t), [][]byte{[]byte("ho")})
	stranger := newKeys()
	expectRefused(t, newPyEnd(t, zmq4.Req, "connect", url, client(k.server, stranger.client, stranger.clientSecret)...))

	server := newPyEnd(t, zmq4.Rep, "bind", "tcp://127.0.0.1:*", "CURVE_SERVER=1", fmt.Sprintf("CURVE_SECRETKEY=hex:%x", k.serverSecret.Z85()))
	req := dialled(t, zmq4.Req, zeromq.Options{Security: k.asks()}, server.url)
	put(t, req, "a", "b")
	same(t, server.recv(t), [][]byte{[]byte("a"), []byte("b")})
}
