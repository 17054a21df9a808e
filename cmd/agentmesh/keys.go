package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make and show the keys of CURVE, which encrypts ZeroMQ",
		Long: `Whoever connects needs the public key of the server (NAME.key) and a pair of keys of his own; the server needs
its own pair and a directory with the public keys of those it trusts. The files are those of pyzmq and czmq.

  agentmesh keys create server --dir keys              # keys/server.key and keys/server.key_secret
  agentmesh keys create ann --dir trusted              # trusted/ann.key and trusted/ann.key_secret
  mv trusted/ann.key_secret ann.key_secret             # ann's own, no business of the server
  agentmesh router --curve-secret keys/server.key_secret --curve-clients trusted

Keys that are put into the directory or taken out count within a second, for new connections.`,
	}
	cmd.AddCommand(keysCreateCommand(), keysShowCommand())
	return cmd
}

func keysCreateCommand() *cobra.Command {
	var dir string
	var pairs []string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a pair of keys, print the public one",
		Long: `create writes NAME.key, which is for the others, and NAME.key_secret, which is readable by its owner only and
stays where it is used. It overwrites nothing. The public key is printed.

  agentmesh keys create ann --dir keys --metadata email=ann@example.org`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
				return usage("%q can't be the name of a file; the directory goes into --dir", name)
			}
			metadata, err := parseMetadata(pairs)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // public keys are for everybody
				return fmt.Errorf("--dir: %w", err)
			}
			c, err := curve.CreateCertificate(dir, name, metadata)
			switch {
			case errors.Is(err, fs.ErrExist):
				return fmt.Errorf("%w: keys are never overwritten; choose another name, or delete %s and %s if nobody uses them any more",
					err, filepath.Join(dir, name+".key"), filepath.Join(dir, name+".key_secret"))
			case err != nil:
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %[1]s.key for the other side, and %[1]s.key_secret to be kept\n", filepath.Join(dir, name))
			fmt.Fprintln(cmd.OutOrStdout(), c.Public)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "where the files go; it is made if need be")
	cmd.Flags().StringArrayVar(&pairs, "metadata", nil, "KEY=VALUE, written into both files; may be repeated")
	return cmd
}

func parseMetadata(pairs []string) (curve.Metadata, error) {
	var m curve.Metadata
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("--metadata %q: want KEY=VALUE, as email=ann@example.org", pair)
		}
		m = append(m, curve.Property{Name: name, Value: value})
	}
	return m, nil
}

func keysShowCommand() *cobra.Command {
	var secret bool
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print the public key of a .key or .key_secret file",
		Long: `show prints the public key in Z85, 40 characters, as --curve-server and libzmq take it. Only --secret prints the
secret key.

  agentmesh listen --session - --curve-server "$(agentmesh keys show server.key)"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadCertificate(args[0])
			switch {
			case err != nil:
				return err
			case !secret:
				fmt.Fprintln(cmd.OutOrStdout(), c.Public)
				return nil
			case c.Secret.IsZero():
				return fmt.Errorf("%s has no secret key; it is in the file whose name ends with .key_secret", args[0])
			}
			fmt.Fprintln(cmd.OutOrStdout(), c.Secret.Z85())
			return nil
		},
	}
	cmd.Flags().BoolVar(&secret, "secret", false, "print the secret key instead")
	return cmd
}

// loadCertificate says what to do about a file that is none.
func loadCertificate(path string) (curve.Certificate, error) {
	c, err := curve.LoadCertificate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, fmt.Errorf("there is no %s; `agentmesh keys create NAME --dir %s` makes a pair of keys", path, filepath.Dir(path))
	case errors.Is(err, curve.ErrFormat):
		return c, fmt.Errorf("%w; wanted is a .key or .key_secret file, as `agentmesh keys create` and pyzmq make them", err)
	}
	return c, err
}
