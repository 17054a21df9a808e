package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/internal/telemetry"
	"github.com/agentmesh/agentmesh/middleware"
)

func serveCommand() *cobra.Command {
	var cfg agents.Config
	var l lock
	var logFormat string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run an agent",
		Long: `serve runs one agent until it is interrupted; then it drains: clients are told to go elsewhere and
nothing that was accepted is lost.

Without --redis the broker runs inside this process. It needs no set-up, other commands reach it at
--embedded-addr, and everything in it is gone when the process ends. Agents that share one Redis are
one mesh:

  agentmesh serve --name a --redis redis://127.0.0.1:6379 --zmq tcp://127.0.0.1:5555 --http 127.0.0.1:8080
  agentmesh serve --name b --redis redis://127.0.0.1:6379 --zmq tcp://127.0.0.1:5556 --http 127.0.0.1:8081

Other machines may connect to ZeroMQ with CURVE (agentmesh keys makes the keys), and a broker of notifications
can run along:

  agentmesh serve --zmq 'tcp://*:5555' --curve-secret server.key_secret --curve-clients trusted/
  agentmesh serve --notify-pub tcp://127.0.0.1:5560 --notify-sub tcp://127.0.0.1:5561

Redis Cluster is redis+cluster://a:1,b:2,c:3, Sentinel is redis+sentinel://a:1,b:2/mymaster.
Once everything is bound, one line that starts with "ready" names the agent and its addresses.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(cmd.ErrOrStderr(), logFormat)
			if err != nil {
				return err
			}
			if err := lockServe(&cfg, &l, logger); err != nil {
				return err
			}
			cfg.Logger = logger
			if cfg.OTLP == "" && telemetry.Wanted() {
				cfg.OTLP = agents.OTLPFromEnvironment
			}
			cfg.Ready = func(at agents.Addresses) { printReady(cmd, cfg, &l, at) }
			agent, err := agents.New(cfg)
			if err != nil {
				return usageError{err}
			}
			return agent.Run(cmd.Context())
		},
	}
	host, _ := os.Hostname()
	f := cmd.Flags()
	f.StringVar(&cfg.Name, "name", host, "name of this agent, for people and as its ZeroMQ routing id")
	f.StringSliceVar(&cfg.ZeroMQ, "zmq", []string{defaultZeroMQ}, "endpoints for ZeroMQ DEALERs; port 0 picks a free one")
	f.StringVar(&cfg.HTTP, "http", defaultHTTP, "address for WebSocket clients (/ws) and the page; empty for none")
	f.StringVar(&cfg.Redis, "redis", "embedded", "URL of the broker, or embedded")
	f.StringVar(&cfg.EmbeddedAddr, "embedded-addr", defaultEmbedded, "where the embedded broker listens")
	f.StringVar(&cfg.Prefix, "prefix", "m", "prefix of the mesh's keys in the broker")
	f.IntVar(&cfg.Partitions, "partitions", 0, "parts of each queue of jobs, the same for all agents; 0 for what the mesh has, else 8 on a Cluster and 1 elsewhere")
	f.BoolVar(&cfg.Dev, "dev", false, "serve the chat page and let it make its own sessions; loopback only")
	l.flags(f)
	f.StringSliceVar(&cfg.NotifyPub, "notify-pub", nil, "endpoints for PUBs of a notification broker in the agent; none by default")
	f.StringSliceVar(&cfg.NotifySub, "notify-sub", nil, "endpoints for its SUBs")
	f.BoolVar(&cfg.RelayRaw, "relay-raw", false, "relay any frames; without it only what Python clients survive: [name, 1, UTF-8 text]")
	f.StringVar((*string)(&cfg.Relay), "relay", "bound", "whose messages ZeroMQ clients may send each other by name: bound (to a session), open, off")
	f.StringSliceVar(&cfg.Origins, "origin", nil, "web origins whose pages may connect, or *; none means this host only")
	f.IntVar(&cfg.MaxMessage, "max-message", 64<<10, "largest message in bytes, at most 196608")
	f.DurationVar(&cfg.Lease, "lease", 3*time.Second, "after which a crashed agent's jobs are taken over")
	f.IntVar(&cfg.History, "history", 1000, "messages kept of each inbox and room; negative for none")
	f.DurationVar(&cfg.HistoryFor, "history-for", 24*time.Hour, "how long they are kept")
	f.DurationVar(&cfg.SessionTTL, "session-ttl", 5*time.Second, "how long a verdict about a session is reused; negative for not at all")
	f.DurationVar(&cfg.DrainWithin, "drain-within", 5*time.Second, "for finishing what is in hand at the end")
	f.Float64Var(&cfg.Rate, "rate", 0, "messages that one user may send to this agent per second; 0 for any number")
	f.IntVar(&cfg.Burst, "burst", 0, "messages of one user at once, see --rate; 0 for one second's worth")
	f.Float64Var(&cfg.GlobalRate, "global-rate", 1, "messages to everyone that one user may send per second; negative for any number")
	f.IntVar(&cfg.GlobalBurst, "global-burst", 5, "how many of them at once")
	f.Float64Var(&cfg.ConnRate, "conn-rate", 0, "messages that one connection may send per second, whoever is behind it; 0 for any number")
	f.IntVar(&cfg.ConnBurst, "conn-burst", 0, "messages of one connection at once, see --conn-rate; 0 for one second's worth")
	f.StringVar(&cfg.Metrics, "metrics", "", "host:port of /metrics for Prometheus; empty for none")
	f.StringVar(&cfg.OTLP, "otlp", "", "URL of an OpenTelemetry collector for traces, as http://127.0.0.1:4318; empty for what OTEL_EXPORTER_OTLP_ENDPOINT says, else none")
	f.StringVar(&logFormat, "log", "text", "text or json")
	return cmd
}

// lockServe secures the ZeroMQ endpoints of an agent.
func lockServe(cfg *agents.Config, l *lock, logger *slog.Logger) (err error) {
	if (len(cfg.NotifyPub) == 0) != (len(cfg.NotifySub) == 0) {
		return usage("--notify-pub and --notify-sub need each other: publishers connect to the one, subscribers to the other")
	}
	for _, side := range []struct {
		flag      string
		endpoints []string
	}{{"zmq", cfg.ZeroMQ}, {"notify-pub", cfg.NotifyPub}, {"notify-sub", cfg.NotifySub}} {
		if err := l.check(side.flag, side.endpoints); err != nil {
			return err
		}
	}
	cfg.Insecure = l.insecure
	cfg.Security, err = l.security(logger)
	return err
}

func newLogger(w io.Writer, format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(middleware.TraceLogs(slog.NewTextHandler(w, nil))), nil
	case "json":
		return slog.New(middleware.TraceLogs(slog.NewJSONHandler(w, nil))), nil
	}
	return nil, fmt.Errorf("--log %q: want text or json", format)
}

// printReady prints the one line that scripts wait for, and for people how to go on.
func printReady(cmd *cobra.Command, cfg agents.Config, l *lock, at agents.Addresses) {
	line := []string{"name=" + cfg.Name}
	for _, side := range []struct {
		field string
		addrs []string
	}{{"zmq=", at.ZeroMQ}, {"notify-pub=", at.NotifyPub}, {"notify-sub=", at.NotifySub}} {
		if len(side.addrs) > 0 {
			line = append(line, side.field+strings.Join(side.addrs, ","))
		}
	}
	if at.HTTP != "" {
		line = append(line, "http="+at.HTTP)
	}
	if at.Metrics != "" {
		line = append(line, "metrics="+at.Metrics)
	}
	if at.Redis != "" {
		line = append(line, "redis="+at.Redis)
	}
	l.ready(cmd, line...)
	if cfg.Dev {
		fmt.Fprintf(cmd.ErrOrStderr(), "\n  Open %s in two windows and chat.\n\n", at.HTTP)
	}
}
