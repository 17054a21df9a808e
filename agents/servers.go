package agents

import (
	"context"
	"log/slog"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// Router runs a router of names beside the agent: clients that connect to it, in Go or Python, send each
// other messages by name (see Client). It passes on whatever it is given, to anybody who connects: demand
// keys with cfg.Security, or use Config.Relay to demand sessions. It returns when the endpoints are bound,
// may be called from a Module's Setup on, and ends with the agent, after its sockets.
func (a *Agent) Router(cfg zeromq.RelayConfig) (*zeromq.Relay, error) {
	def(&cfg.Logger, a.log.With("server", "router"))
	bound := make(chan struct{})
	tell := cfg.Ready
	cfg.Ready = func(addrs []string) {
		if tell != nil {
			tell(addrs)
		}
		close(bound)
	}
	relay, err := zeromq.NewRelay(cfg)
	if err != nil {
		return nil, err
	}
	return relay, a.serve(relay.Run, bound, cfg.Logger)
}

// NotificationBroker runs a broker of notifications beside the agent (see NotificationClient). It returns
// when the endpoints are bound, may be called from a Module's Setup on, and ends with the agent, after its
// sockets.
func (a *Agent) NotificationBroker(cfg zeromq.BrokerConfig) (*zeromq.Broker, error) {
	def(&cfg.Logger, a.log.With("server", "notifications"))
	def(&cfg.Inproc, &a.inproc)
	bound := make(chan struct{})
	tell := cfg.Ready
	cfg.Ready = func(pub, sub []string) {
		if tell != nil {
			tell(pub, sub)
		}
		close(bound)
	}
	broker, err := zeromq.NewBroker(cfg)
	if err != nil {
		return nil, err
	}
	return broker, a.serve(broker.Run, bound, cfg.Logger)
}

// server is something that runs until its agent ends.
type server struct {
	stop context.CancelFunc
	done chan struct{}
	err  error // once done
}

func (s *server) end(context.Context) {
	s.stop()
	<-s.done
}

// serve runs a server and returns when it is bound, or why it could not be.
func (a *Agent) serve(run func(context.Context) error, bound <-chan struct{}, log *slog.Logger) error {
	s := &server{done: make(chan struct{})}
	err := a.servers.hold(func(life context.Context) (holding, error) {
		ctx, stop := context.WithCancel(life)
		s.stop = stop
		go func() { // joined by end
			defer close(s.done)
			if s.err = run(ctx); s.err != nil {
				log.Error("a server has ended", "error", s.err)
			}
		}()
		return s, nil
	})
	if err != nil {
		return err
	}
	select {
	case <-bound:
		return nil
	case <-s.done:
		s.stop()
		a.servers.drop(s)
		return s.err
	}
}
