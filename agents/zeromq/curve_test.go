package zeromq_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// A key file that comes or goes counts from the next connection on, without a restart; who is connected stays.
func TestKeyDirectory(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys()
	trusted, err := curve.TrustedKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	serves := zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: k.serverSecret, Authorise: trusted}}
	r := startRouter(t, zeromq.RouterConfig{Security: serves}, func(m zeromq.Message) {
		m.Peer.Release(1)
		m.Peer.Send([]byte(m.Peer.UserID()))
	})
	early, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, Security: k.asks()})
	if e := awaitConnected(t, early, false); !errors.Is(e.Err, zeromq.ErrUnauthorized) {
		t.Fatalf("without a key file: %v", e.Err)
	}
	file := filepath.Join(dir, "client.key")
	if err := (curve.Certificate{Public: k.client}).WritePublic(file); err != nil {
		t.Fatal(err)
	}
	awaitConnected(t, early, true)
	ask := func() {
		send(t, early, "who am I?")
		same(t, receive(t, early), [][]byte{[]byte(k.client.String())})
	}
	ask()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a newcomer with the removed key is refused", func() bool {
		late, stop := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, Security: k.asks()})
		defer stop()
		e := <-late.Events()
		return !e.Connected && errors.Is(e.Err, zeromq.ErrUnauthorized)
	})
	ask() // on the connection that was there before
	libzmq := newPyEnd(t, zmq4.Dealer, "connect", r.url, k.askOptions()...)
	expectRefused(t, libzmq)
}

// A routing id that is taken is no final refusal: the newcomer may try again.
func TestTakenRoutingIDOverCurve(t *testing.T) {
	t.Parallel()
	k := newKeys()
	r := startRouter(t, zeromq.RouterConfig{Name: "agent", Security: k.serves()}, echo)
	for id, reason := range map[string]error{"agent": zeromq.ErrRoutingID, "taken": zeromq.ErrRoutingID} {
		if id == "taken" {
			first, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, RoutingID: id, Security: k.asks()})
			send(t, first, "here")
			receive(t, first)
		}
		d, stop := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, RoutingID: id, Security: k.asks()})
		if e := awaitConnected(t, d, false); errors.Is(e.Err, zeromq.ErrUnauthorized) || !errors.Is(e.Err, zeromq.ErrHandshake) {
			t.Errorf("%s: told %v", id, e.Err)
		}
		if e := r.await(t, zeromq.Refused); !errors.Is(e.Reason, reason) || errors.Is(e.Reason, zeromq.ErrUnauthorized) {
			t.Errorf("%s: refused because of %v", id, e.Reason)
		}
		stop()
	}
	if r.Peers() != 1 {
		t.Errorf("%d peers", r.Peers())
	}
}

// A client that has shaken hands and says nothing is asked for a sign of life, not hung up on at once.
func TestSilentCurveClientIsAsked(t *testing.T) {
	t.Parallel()
	k := newKeys()
	r := startRouter(t, zeromq.RouterConfig{HeartbeatInterval: 20 * time.Millisecond, HeartbeatTimeout: patience, Security: k.serves()}, echo)
	for range 5 {
		c, _, err := k.rawCurve(t, r.address(), curve.SocketMetadata("DEALER", ""))
		if err != nil {
			t.Fatal(err)
		}
		_, box, err := readFrame(c.NetConn())
		if err != nil {
			t.Fatal(err)
		}
		if flags, body, err := c.Opener().Open(0, box); err != nil || flags != 4 || string(body) != "\x04PING\x00\x00" {
			t.Errorf("said %d %q, %v", flags, body, err)
		}
	}
}
