// Package testredis starts real Redis servers for tests, on free loopback ports, and ends them.
package testredis

import (
	"context"
	"fmt"
	"net"
	"os/exec"
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
}

// Start runs redis-server until the test ends. Without arguments it keeps nothing on disk; arguments are
// passed on ("--appendonly", "yes"). A machine without redis-server fails the test: a skipped check hides
// things.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Fatal("redis-server is missing; install it with: apt-get install -y redis-server")
	}
	s := &Server{tb: tb, dir: tb.TempDir(), args: args}
	for attempt := 0; ; attempt++ {
		s.Addr = freeAddr(tb)
		s.URL = "redis://" + s.Addr
		err := s.start()
		if err == nil {
			break
		}
		if attempt == 4 {
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
func (s *Server) Pause() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	if sig != syscall.SIGKILL {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

func (s *Server) start() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args := append([]string{"--port", port, "--bind", host, "--dir", s.dir, "--save", "", "--maxmemory-policy", "noeviction"}, s.args...)
	cmd := exec.Command("redis-server", args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || cmd.ProcessState != nil {
			s.Kill()
			return fmt.Errorf("no answer on %s: %w", s.Addr, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
