// Package testredis starts real Redis servers for tests, on free loopback ports, and ends them: one server, a
// Cluster, or a master with replicas under Sentinels.
package testredis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is one redis-server process.
type Server struct {
	Addr string // host:port
	URL  string // redis://host:port

	tb   testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd

	paused bool

	// Of a Cluster's node.
	bus  string // its second port
	slot int    // the first slot of the master it began as, or is a replica of
}

// attempts is how often a server is started on other ports: between finding a port and using it another
// process may take it.
const attempts = 5

// Start runs redis-server until the test ends. Without arguments it keeps nothing on disk; arguments are
// passed on ("--appendonly", "yes"). A machine without redis-server fails the test: a skipped check hides
// things.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return startOn(tb, func(s *Server) { s.args = append(plain(), args...) })
}

// plain are the arguments of a server that keeps nothing on disk and drops nothing.
func plain() []string { return []string{"--save", "", "--maxmemory-policy", "noeviction"} }

// startOn starts a server on a free port. configure is called again for each attempt.
func startOn(tb testing.TB, configure func(*Server)) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Fatal("redis-server is missing; install it with: apt-get install -y redis-server")
	}
	s := &Server{tb: tb, dir: tb.TempDir()}
	for attempt := 1; ; attempt++ {
		ports := freeAddrs(tb, 2)
		s.Addr, s.bus = ports[0], port(ports[1])
		s.URL = "redis://" + s.Addr
		configure(s)
		err := s.start()
		if err == nil {
			break
		}
		if attempt == attempts {
			tb.Fatalf("redis-server does not start: %v", err)
		}
	}
	tb.Cleanup(s.Kill)
	return s
}

// Restart starts the server again on the same port and directory, after Kill or Stop.
func (s *Server) Restart() {
	s.tb.Helper()
	if err := s.start(); err != nil {
		s.tb.Fatalf("redis-server does not start again: %v", err)
	}
}

// Kill ends the server with SIGKILL and waits for it.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server with SIGTERM and waits for it.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Pause stops the process (SIGSTOP); Resume lets it go on.
func (s *Server) Pause() {
	s.paused = true
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
}

// Resume continues a paused server.
func (s *Server) Resume() {
	s.paused = false
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
}

// runs says whether the server can answer: it was started, and neither ended nor paused since.
func (s *Server) runs() bool { return s.cmd != nil && !s.paused }

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	if sig != syscall.SIGKILL {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
	}
	_ = s.cmd.Wait()
	s.cmd, s.paused = nil, false
}

func (s *Server) start() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	// A configuration file comes first, if there is one.
	args := slices.Concat(s.args, []string{"--port", port, "--bind", host, "--dir", s.dir})
	cmd := exec.Command("redis-server", args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	client := s.client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ours := fmt.Sprintf("process_id:%d\r\n", cmd.Process.Pid)
	err = until(ctx, func() error {
		info, err := client.Info(ctx, "server").Result()
		if err == nil && !strings.Contains(info, ours) {
			return errors.New("another server has the port")
		}
		return err
	})
	if err != nil {
		s.Kill()
		return fmt.Errorf("no answer on %s: %w", s.Addr, err)
	}
	return nil
}

// client connects to this server alone. The caller closes it.
func (s *Server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, Protocol: 2})
}

// until calls ask until it finds nothing to complain of, and returns its last complaint when ctx ends.
func until(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// freeAddrs finds several addresses at a time, so that they differ.
func freeAddrs(tb testing.TB, n int) []string {
	tb.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return addrs
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
