package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The addresses that work without any flag: what `serve` binds is where the other commands look.
const (
	defaultZeroMQ   = "tcp://127.0.0.1:5555"
	defaultHTTP     = "127.0.0.1:8080"
	defaultEmbedded = "127.0.0.1:6390"
	defaultRedis    = "redis://" + defaultEmbedded
)

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agentmesh",
		Short: "A mesh of agents for chat and games: ZeroMQ and WebSocket in front, Redis behind",
		Long: `agentmesh runs agents that chat and game clients connect to, over ZeroMQ or WebSocket.
Agents share their work through Redis; one or fifty of them behave as one mesh.

Try it in two terminals:

  agentmesh serve --dev                                   # then open http://127.0.0.1:8080
  agentmesh session create --user ann > ann               # a session, from the same broker
  agentmesh session create --user bob > bob
  agentmesh listen --session - < bob &
  agentmesh send --session - --user bob "Hello" < ann

Every flag can also be given as an environment variable: --embedded-addr is AGENTMESH_EMBEDDED_ADDR.`,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) },
	}
	cmd.AddCommand(serveCommand(), sessionCommand(), sendCommand(), listenCommand(), jobsCommand(),
		routerCommand(), brokerCommand(), keysCommand())
	cmd.CompletionOptions.HiddenDefaultCmd = true
	return cmd
}

// version is what the Go tool knows about this build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	words := []string{info.Main.Version}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			words = append(words, s.Value[:min(12, len(s.Value))])
		}
	}
	return strings.Join(append(words, info.GoVersion), " ")
}

// fromEnvironment sets the flags that were not given from AGENTMESH_… variables. Of lists, items are
// separated by commas.
func fromEnvironment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "AGENTMESH_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, given := os.LookupEnv(name)
		if f.Changed || !given || err != nil {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = fmt.Errorf("the environment variable %s: %w", name, e)
		}
	})
	return err
}
