package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/middleware/session"
)

func sessionCommand() *cobra.Command {
	var redisURL, prefix string
	cmd := &cobra.Command{
		Use:   "session",
		Short: "Make, list and revoke sessions",
		Long: `A session is what a client shows to speak as a user. Redis keeps only the SHA-256 of it, so the token
that create prints can't be read again.`,
	}
	cmd.PersistentFlags().StringVar(&redisURL, "redis", defaultRedis, "URL of the broker")
	cmd.PersistentFlags().StringVar(&prefix, "prefix", "m", "prefix of the mesh's keys")

	// with opens the store for one command.
	with := func(run func(ctx context.Context, cmd *cobra.Command, s *session.Store, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			store, closeRedis, err := openStore(redisURL, prefix)
			if err != nil {
				return err
			}
			defer closeRedis()
			return run(cmd.Context(), cmd, store, args)
		}
	}
	cmd.AddCommand(createCommand(with), revokeCommand(with), listCommand(with))
	return cmd
}

type storeRunner func(func(context.Context, *cobra.Command, *session.Store, []string) error) func(*cobra.Command, []string) error

func createCommand(with storeRunner) *cobra.Command {
	var user string
	var ttl time.Duration
	var roles []string
	cmd := &cobra.Command{
		Use:   "create --user U",
		Short: "Make a session and print its token",
		Args:  cobra.NoArgs,
		RunE: with(func(ctx context.Context, cmd *cobra.Command, s *session.Store, _ []string) error {
			if user == "" {
				return errors.New("--user is missing: whose session is it?")
			}
			token, _, err := s.Create(ctx, user, ttl, roles...)
			if err != nil {
				return unreachable(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		}),
	}
	cmd.Flags().StringVar(&user, "user", "", "whose session it is")
	cmd.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it lives")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "a role that authorisation may ask for; may be repeated")
	return cmd
}

func revokeCommand(with storeRunner) *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "revoke (TOKEN | --user U)",
		Short: "End a session, or all of a user; connected clients are logged out at once",
		Args:  cobra.MaximumNArgs(1),
		RunE: with(func(ctx context.Context, cmd *cobra.Command, s *session.Store, args []string) error {
			if (len(args) == 1) == (user != "") {
				return errors.New("give either a token or --user")
			}
			if user != "" {
				n, err := s.RevokeUser(ctx, user)
				if err != nil {
					return unreachable(err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "revoked %d\n", n)
				return nil
			}
			token, err := secret(cmd, args[0])
			if err != nil {
				return err
			}
			was, err := s.Revoke(ctx, token)
			if err != nil {
				return unreachable(err)
			}
			if !was {
				return errors.New("there is no such session, or it has ended already")
			}
			fmt.Fprintln(cmd.OutOrStdout(), "revoked 1")
			return nil
		}),
	}
	cmd.Flags().StringVar(&user, "user", "", "end all sessions of this user")
	return cmd
}

func listCommand(with storeRunner) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the sessions that are valid",
		Args:  cobra.NoArgs,
		RunE: with(func(ctx context.Context, cmd *cobra.Command, s *session.Store, _ []string) error {
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			if !asJSON {
				fmt.Fprintln(out, "USER\tEXPIRES\tROLES\tDIGEST")
			}
			lines := json.NewEncoder(cmd.OutOrStdout())
			for v, err := range s.List(ctx) {
				if err != nil {
					return unreachable(err)
				}
				if !v.Valid {
					continue
				}
				if asJSON {
					err = lines.Encode(listed{v.Session.User, v.Session.Roles, v.Session.Created, v.Session.Expires, v.Session.Digest})
				} else {
					_, err = fmt.Fprintf(out, "%s\t%s\t%s\t%.12s\n", v.Session.User, v.Session.Expires.Local().Format(time.DateTime), strings.Join(v.Session.Roles, ","), v.Session.Digest)
				}
				if err != nil {
					return err
				}
			}
			return out.Flush()
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

type listed struct {
	User    string    `json:"user"`
	Roles   []string  `json:"roles,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Digest  string    `json:"digest"`
}

func openStore(redisURL, prefix string) (*session.Store, func(), error) {
	client, err := redisx.Open(redisURL)
	if err != nil {
		return nil, nil, err
	}
	store, err := session.NewStore(session.Config{Redis: client, Prefix: prefix})
	if err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return store, func() { _ = client.Close() }, nil
}

// unreachable adds what to do to the error of a broker that does not answer.
func unreachable(err error) error {
	var network net.Error
	if !errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("%w\nis the broker running? `agentmesh serve` starts an embedded one, --redis names another", err)
}
