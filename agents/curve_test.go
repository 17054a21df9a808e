package agents_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// An agent with a key takes sessions over CURVE, and nothing in the clear.
func TestCurve(t *testing.T) {
	t.Parallel()
	public, secret := curve.GenerateKeyPair()
	cfg := config()
	cfg.Security.CurveServer = &zeromq.CurveServer{Secret: secret, Authorise: curve.AnyKey}
	r := run(t, cfg, nil)
	dial := func(s zeromq.Security) *zeromq.Socket {
		d, err := zeromq.NewSocket(context.Background(), zmq4.Dealer, zeromq.Options{RoutingID: "ann", RecvTimeout: 10 * time.Second, Security: s})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if err := d.Dial(r.at.ZeroMQ[0]); err != nil {
			t.Fatal(err)
		}
		return d
	}
	plain := dial(zeromq.Security{})
	sealed := dial(zeromq.Security{CurveClient: &zeromq.CurveClient{Server: public}})
	login := fmt.Sprintf(`{"type":"Login","id":"1","from":{"type":"User","id":"ann","session":%q}}`, r.session(t, "ann"))
	if err := sealed.Send(zmq4.NewMsgString(login)); err != nil {
		t.Fatal(err)
	}
	answer, err := sealed.Recv()
	if err != nil || len(answer.Frames) != 1 || !strings.Contains(string(answer.Frames[0]), `"type":"Ack"`) {
		t.Errorf("answer %q, %v", answer.Frames, err)
	}
	if n := plain.Peers(); n != 0 {
		t.Errorf("%d connections in the clear", n)
	}
}
