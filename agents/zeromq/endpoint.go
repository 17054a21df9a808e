package zeromq

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// endpoint is a ZeroMQ address in the terms of package net.
type endpoint struct{ network, address string }

func (e endpoint) String() string {
	switch e.network {
	case "unix":
		return "ipc://" + e.address
	case inprocNetwork:
		return "inproc://" + e.address
	}
	return "tcp://" + e.address
}

// parseEndpoint understands tcp://host:port and ipc://path; for binding, * stands for any host or port.
func parseEndpoint(s string) (endpoint, error) {
	scheme, address, ok := strings.Cut(s, "://")
	if !ok || address == "" {
		return endpoint{}, fmt.Errorf("endpoint %q: want tcp://host:port or ipc://path", s)
	}
	switch scheme {
	case "ipc":
		return endpoint{"unix", address}, nil
	case "tcp":
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return endpoint{}, fmt.Errorf("endpoint %q: %w", s, err)
		}
		if host == "*" {
			host = ""
		}
		if port == "*" {
			port = "0"
		}
		return endpoint{"tcp", net.JoinHostPort(host, port)}, nil
	}
	return endpoint{}, fmt.Errorf("endpoint %q: transport %q is not supported", s, scheme)
}

// Local reports whether nobody but this machine can reach an endpoint that is bound: tcp on a loopback
// address, ipc and inproc. An error says that it is no endpoint.
func Local(bind string) (bool, error) {
	e, err := parseAnyEndpoint(bind)
	if err != nil {
		return false, fmt.Errorf("zeromq: %w", err)
	}
	if e.network != "tcp" {
		return true, nil
	}
	host, _, err := net.SplitHostPort(e.address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || (ip != nil && ip.IsLoopback())), nil
}

// listen binds. A socket file that nobody answers on was left by a process that was killed; it is removed.
func (e endpoint) listen(cfg net.ListenConfig) (net.Listener, error) {
	ctx := context.Background() // binding waits for nothing, and neither Listen has a context
	l, err := cfg.Listen(ctx, e.network, e.address)
	if err == nil || e.network != "unix" || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	conn, dialErr := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, e.network, e.address)
	if dialErr == nil {
		conn.Close()
		return nil, err
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) || !isSocket(e.address) {
		return nil, err
	}
	if err := os.Remove(e.address); err != nil {
		return nil, err
	}
	return cfg.Listen(ctx, e.network, e.address)
}

func isSocket(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}
