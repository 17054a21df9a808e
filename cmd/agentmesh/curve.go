package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// lock is how the ZeroMQ endpoints of a server are secured.
type lock struct {
	secret, clients string
	insecure        bool

	public string // the server's key, once it is loaded
}

func (l *lock) flags(f *pflag.FlagSet) {
	f.StringVar(&l.secret, "curve-secret", "", "file with the server's secret key: encrypts ZeroMQ with CURVE; agentmesh keys makes it")
	f.StringVar(&l.clients, "curve-clients", "", "directory with the public keys of those who may connect, or any")
	f.BoolVar(&l.insecure, "insecure", false, "allow ZeroMQ without encryption on addresses other machines reach")
}

// check refuses endpoints that other machines could listen to.
func (l *lock) check(flag string, endpoints []string) error {
	for _, ep := range endpoints {
		local, err := zeromq.Local(ep)
		switch {
		case err != nil:
			return usage("--%s: %w", flag, err)
		case !local && l.secret == "" && !l.insecure:
			return usage(`--%s %s: other machines could read along. Encrypt it with
  agentmesh keys create server --dir keys
and --curve-secret keys/server.key_secret --curve-clients DIR (whose keys may connect; any for everybody's),
or bind 127.0.0.1, or say --insecure`, flag, ep)
		}
	}
	return nil
}

// security loads the keys.
func (l *lock) security(logger *slog.Logger) (zeromq.Security, error) {
	switch {
	case l.secret == "" && l.clients == "":
		return zeromq.Security{}, nil
	case l.secret == "":
		return zeromq.Security{}, usage("--curve-clients needs --curve-secret FILE, the server's own key; `agentmesh keys create server` makes one")
	case l.clients == "":
		return zeromq.Security{}, usage("--curve-secret needs --curve-clients DIR, whose .key files may connect; any means everybody who knows the server's key")
	}
	secret, err := loadSecret(l.secret)
	if err != nil {
		return zeromq.Security{}, err
	}
	l.public = secret.Public().String()
	authorise := curve.Authorise(curve.AnyKey)
	if l.clients != "any" {
		if authorise, err = trusted(l.clients, logger); err != nil {
			return zeromq.Security{}, err
		}
	}
	return zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: secret, Authorise: authorise}}, nil
}

func loadSecret(path string) (curve.SecretKey, error) {
	c, err := loadCertificate(path)
	if err != nil {
		return curve.SecretKey{}, fmt.Errorf("--curve-secret: %w", err)
	}
	if c.Secret.IsZero() {
		return curve.SecretKey{}, fmt.Errorf("--curve-secret: %s has only the public key; give the file whose name ends with .key_secret", path)
	}
	return c.Secret, nil
}

// trusted admits the keys of a directory.
func trusted(dir string, logger *slog.Logger) (curve.Authorise, error) {
	authorise, err := curve.TrustedKeys(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("--curve-clients: %s is no directory; make it and put the .key file of each client there, or say any", dir)
	case err != nil:
		return nil, fmt.Errorf("--curve-clients: %w; mend that file or take it away", err)
	}
	if keys, err := curve.LoadDirectory(dir); err == nil && len(keys) == 0 {
		logger.Warn("nobody can connect yet: put the .key file of each client into the directory", "directory", dir)
	}
	return authorise, nil
}

// loadKey reads a public key: itself in Z85, or the name of a file.
func loadKey(value string) (curve.PublicKey, error) {
	c, err := curve.LoadCertificate(value)
	if err == nil {
		return c.Public, nil
	}
	key, notKey := curve.ParsePublicKey(value)
	switch {
	case notKey == nil:
		return key, nil
	case errors.Is(err, fs.ErrNotExist) || strings.ContainsAny(value, "\x00"):
		return key, fmt.Errorf("--curve-server: %q is neither a file nor a public key of 40 characters; the server's ready line and `agentmesh keys show` print it", value)
	}
	return key, fmt.Errorf("--curve-server: %w; wanted is the server's .key file or its public key of 40 characters", err)
}

// clientSecurity is the client's side of it.
func clientSecurity(server, secret string) (zeromq.Security, error) {
	switch {
	case server == "" && secret == "":
		return zeromq.Security{}, nil
	case server == "":
		return zeromq.Security{}, usage("--curve-secret needs --curve-server, the server's .key file or its public key; the server's ready line prints it")
	}
	key, err := loadKey(server)
	if err != nil {
		return zeromq.Security{}, err
	}
	client := &zeromq.CurveClient{Server: key}
	if secret != "" {
		if client.Secret, err = loadSecret(secret); err != nil {
			return zeromq.Security{}, err
		}
	}
	return zeromq.Security{CurveClient: client}, nil
}

// explain says what a client can do about a connection that could not be made.
func explain(err error, encrypted bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zeromq.ErrUnauthorized):
		return fmt.Errorf("our key is not welcome: the .key file that belongs to --curve-secret has to be in the server's --curve-clients directory (%w)", err)
	case !errors.Is(err, zeromq.ErrHandshake):
		return err
	case encrypted:
		return fmt.Errorf("the server's key is not the one that --curve-server says, or it doesn't use CURVE; compare with its ready line (%w)", err)
	}
	return fmt.Errorf("if it uses CURVE, say --curve-server and --curve-secret (%w)", err)
}
