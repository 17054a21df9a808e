package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// The endpoints of the roles that stand alone, unless flags say others.
const (
	defaultPub = "tcp://127.0.0.1:5560"
	defaultSub = "tcp://127.0.0.1:5561"
)

func routerCommand() *cobra.Command {
	var l lock
	var cfg zeromq.RelayConfig
	var logFormat string
	cmd := &cobra.Command{
		Use:   "router",
		Short: "Pass messages between ZeroMQ clients by name, without sessions and Redis",
		Long: `router stands alone, in place of the router of Very Powerful Agents: what the DEALER with routing id ann sends
as [bob, …] reaches the DEALER bob as [ann, …], any number of frames and whatever bytes. Who is not there
misses it. Whoever may connect may write to everybody; for sessions and rooms see agentmesh serve.

  agentmesh router --bind tcp://127.0.0.1:5555 --bind ipc:///run/mesh.sock

With CURVE, other machines may connect (agentmesh keys makes the keys):

  agentmesh router --bind 'tcp://*:5555' --curve-secret server.key_secret --curve-clients trusted/

Once everything is bound, one line that starts with "ready" tells the addresses. It runs until it is
interrupted and then says what it has done.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.check("bind", cfg.Bind); err != nil {
				return err
			}
			logger, err := newLogger(cmd.ErrOrStderr(), logFormat)
			if err != nil {
				return err
			}
			if cfg.Security, err = l.security(logger); err != nil {
				return err
			}
			cfg.Logger = logger
			cfg.Ready = func(addrs []string) { l.ready(cmd, "bind="+strings.Join(addrs, ",")) }
			relay, err := zeromq.NewRelay(cfg)
			if err != nil {
				return usageError{err}
			}
			return runRole(cmd.Context(), relay, func() {
				s := relay.Stats()
				logger.Info("stopped", "accepted", s.Accepted, "refused", s.Refused, "passed", s.Passed,
					"unroutable", s.Unroutable, "full", s.Full, "too_large", s.TooLarge)
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Bind, "bind", []string{defaultZeroMQ}, "endpoints for DEALERs; port 0 picks a free one; may be repeated")
	l.flags(f)
	f.StringVar(&logFormat, "log", "text", "text or json")
	return cmd
}

func brokerCommand() *cobra.Command {
	var l lock
	var cfg zeromq.BrokerConfig
	var logFormat string
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Pass publications from ZeroMQ publishers to subscribers, without sessions and Redis",
		Long: `broker stands alone, in place of the notification broker of Very Powerful Agents: PUB sockets connect to --pub,
SUB sockets to --sub, and a message reaches those that subscribe to a prefix of its first frame. A
notification is [topic, 0x00, payload], but it is blind to that. Who comes late, on either side, has missed
what went before and nothing else.

  agentmesh broker --pub tcp://127.0.0.1:5560 --sub tcp://127.0.0.1:5561

With CURVE, other machines may connect (agentmesh keys makes the keys):

  agentmesh broker --pub 'tcp://*:5560' --sub 'tcp://*:5561' --curve-secret server.key_secret --curve-clients trusted/

Once everything is bound, one line that starts with "ready" tells the addresses. It runs until it is
interrupted and then says what it has done.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.check("pub", cfg.Pub); err != nil {
				return err
			}
			if err := l.check("sub", cfg.Sub); err != nil {
				return err
			}
			logger, err := newLogger(cmd.ErrOrStderr(), logFormat)
			if err != nil {
				return err
			}
			if cfg.Security, err = l.security(logger); err != nil {
				return err
			}
			cfg.Logger = logger
			cfg.Ready = func(pub, sub []string) {
				l.ready(cmd, "pub="+strings.Join(pub, ","), "sub="+strings.Join(sub, ","))
			}
			broker, err := zeromq.NewBroker(cfg)
			if err != nil {
				return usageError{err}
			}
			return runRole(cmd.Context(), broker, func() {
				s := broker.Stats()
				logger.Info("stopped", "refused", s.Refused, "passed", s.Passed, "dropped", s.Dropped)
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Pub, "pub", []string{defaultPub}, "endpoints for PUBs; port 0 picks a free one; may be repeated")
	f.StringSliceVar(&cfg.Sub, "sub", []string{defaultSub}, "endpoints for SUBs; likewise")
	l.flags(f)
	f.StringVar(&logFormat, "log", "text", "text or json")
	return cmd
}

// ready prints the one line that scripts wait for. Its fields are named as the flags are.
func (l *lock) ready(cmd *cobra.Command, fields ...string) {
	if l.public != "" {
		fields = append(fields, "curve-server="+l.public)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "ready", strings.Join(fields, " "))
}

// runRole runs a role to its end and reports.
func runRole(ctx context.Context, role interface {
	Run(ctx context.Context) error
}, report func()) error {
	err := role.Run(ctx)
	if err == nil {
		report()
	}
	return err
}
