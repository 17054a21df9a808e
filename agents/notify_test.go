package agents_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

func TestNotifications(t *testing.T) {
	t.Parallel()
	server, serverSecret := curve.GenerateKeyPair()
	for name, c := range map[string]struct{ agent, client zeromq.Security }{
		"plaintext": {},
		"curve": {
			zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: serverSecret, Authorise: curve.AnyKey}},
			zeromq.Security{CurveClient: &zeromq.CurveClient{Server: server}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			cfg.Security = c.agent
			cfg.NotifyPub, cfg.NotifySub = []string{"tcp://127.0.0.1:0"}, []string{"tcp://127.0.0.1:0", "ipc://" + t.TempDir() + "/sub"}
			a := run(t, cfg, nil)
			if len(a.at.NotifyPub) != 1 || len(a.at.NotifySub) != 2 {
				t.Fatalf("addresses %+v", a.at)
			}
			socket := func(kind zmq4.SocketType, endpoint string) *zeromq.Socket {
				s, err := zeromq.NewSocket(t.Context(), kind, zeromq.Options{RecvTimeout: patience, Security: c.client})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				if err := s.Dial(endpoint); err != nil {
					t.Fatal(err)
				}
				return s
			}
			pub := socket(zmq4.XPub, a.at.NotifyPub[0])
			for _, endpoint := range a.at.NotifySub {
				sub := socket(zmq4.Sub, endpoint)
				if err := sub.Subscribe("game"); err != nil {
					t.Fatal(err)
				}
				if m, err := pub.Recv(); err != nil || string(m.Frames[0]) != "\x01game" {
					t.Fatalf("the publisher hears %q, %v", m.Frames, err)
				}
				if err := pub.Send(zmq4.NewMsgFromString([]string{"gameover", "\x00", "ann won"})); err != nil {
					t.Fatal(err)
				}
				if m, err := sub.Recv(); err != nil || len(m.Frames) != 3 || string(m.Frames[2]) != "ann won" {
					t.Errorf("%s: %q, %v", endpoint, m.Frames, err)
				}
				sub.Close()
				if m, err := pub.Recv(); err != nil || string(m.Frames[0]) != "\x00game" {
					t.Fatalf("the publisher hears %q, %v", m.Frames, err)
				}
			}

			taken := config()
			taken.Logger = slog.New(slog.DiscardHandler)
			taken.NotifyPub, taken.NotifySub = a.at.NotifyPub, []string{"tcp://127.0.0.1:0"}
			second, err := agents.New(taken)
			if err != nil {
				t.Fatal(err)
			}
			if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), a.at.NotifyPub[0]) {
				t.Errorf("an agent whose endpoint is taken ends with %v", err)
			}
		})
	}
}
