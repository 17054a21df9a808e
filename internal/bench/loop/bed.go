package main

import (
	"context"
	_ "embed" // the relay
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// python is Debian's: its zmq comes from python3-zmq.
const python = "/usr/bin/python3"

//go:embed relay.py
var relayScript string

// system is one thing that is measured.
type system struct {
	name        string
	agents      int    // 0: the relay
	appendfsync string // "": Redis keeps nothing on disk
}

const relayName = "pyzmq relay"

var systems = []system{
	{name: "two agents", agents: 2},
	{name: "two agents (everysec)", agents: 2, appendfsync: "everysec"},
	{name: "one agent", agents: 1},
	{name: "one agent (everysec)", agents: 1, appendfsync: "everysec"},
	{name: relayName},
}

// kit is what systems are started from.
type kit struct {
	dir     string
	binary  string
	profile string
	started int
}

func newKit(ctx context.Context, dir, profile string) (*kit, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is missing; install it with: apt-get install -y redis-server")
	}
	if out, err := exec.CommandContext(ctx, python, "-c", "import zmq").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pyzmq is missing; install it with: apt-get install -y python3-zmq\n%s", out)
	}
	k := &kit{dir: dir, binary: filepath.Join(dir, "agentmesh"), profile: profile}
	if profile != "" {
		if err := os.MkdirAll(profile, 0o750); err != nil {
			return nil, err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", k.binary, "github.com/agentmesh/agentmesh/cmd/agentmesh")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building agentmesh: %w\n%s", err, out)
	}
	return k, nil
}

// chosen are the systems named, in the order of the tables.
func chosen(names string) ([]system, error) {
	if names == "" {
		return systems, nil
	}
	var list []system
	wanted := strings.Split(names, ",")
	for _, s := range systems {
		if slices.Contains(wanted, s.name) {
			list = append(list, s)
		}
	}
	if len(list) != len(wanted) {
		return nil, fmt.Errorf("-systems %s: the names stand in the tables, as %q", names, systems[0].name)
	}
	return list, nil
}

// bed is a running system.
type bed struct {
	processes []*process
	endpoints []string       // of the first agent and the last, or of the relay twice
	redis     *redisx.Client // nil for the relay
}

func (k *kit) start(ctx context.Context, s system) (b *bed, err error) {
	b = &bed{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()
	if s.agents == 0 {
		endpoint, err := b.launch(start(ctx, "relay", nil, python, "-c", relayScript))
		b.endpoints = []string{endpoint, endpoint}
		return b, err
	}
	url, err := k.startRedis(ctx, b, s.appendfsync)
	if err != nil {
		return b, err
	}
	for i := range s.agents {
		name := fmt.Sprintf("agent %d", i+1)
		program, env := k.binary, []string(nil)
		if k.profile != "" {
			k.started++
			program, err = os.Executable()
			if err != nil {
				return b, err
			}
			env = []string{profileVariable + "=" + filepath.Join(k.profile, fmt.Sprintf("agent%d-%d.pprof", i+1, k.started))}
		}
		endpoint, err := b.launch(start(ctx, name, env, program,
			"serve", "--name", fmt.Sprintf("bench-%d", i+1), "--redis", url, "--zmq", "tcp://127.0.0.1:0", "--http", ""))
		if err != nil {
			return b, err
		}
		b.endpoints = append(b.endpoints, endpoint)
	}
	b.endpoints = []string{b.endpoints[0], b.endpoints[len(b.endpoints)-1]}
	return b, nil
}

func (b *bed) launch(p *process, err error) (endpoint string, _ error) {
	if err != nil {
		return "", err
	}
	b.processes = append(b.processes, p)
	return p.ready()
}

// startRedis starts a server on a free port.
func (k *kit) startRedis(ctx context.Context, b *bed, appendfsync string) (url string, err error) {
	dir, err := os.MkdirTemp(k.dir, "redis-")
	if err != nil {
		return "", err
	}
	port, err := freePort(ctx)
	if err != nil {
		return "", err
	}
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--maxmemory-policy", "noeviction"}
	if appendfsync != "" {
		args = append(args, "--appendonly", "yes", "--appendfsync", appendfsync)
	}
	p, err := start(ctx, "redis", nil, "redis-server", args...)
	if err != nil {
		return "", err
	}
	b.processes = append(b.processes, p)
	url = "redis://127.0.0.1:" + port
	if err := awaitPort(ctx, "127.0.0.1:"+port); err != nil {
		return "", err
	}
	b.redis, err = redisx.Open(url)
	return url, err
}

// awaitPort waits until somebody listens. go-redis would log each refused attempt.
func awaitPort(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// cpu is the processor time of every process by its name; "clients" is this one.
func (b *bed) cpu() (map[string]time.Duration, error) {
	all := map[string]time.Duration{}
	own, err := cpuTime(os.Getpid())
	if err != nil {
		return nil, err
	}
	all["clients"] = own
	for _, p := range b.processes {
		if all[p.name], err = cpuTime(p.cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// stop ends what start started, the agents before their Redis.
func (b *bed) stop() error {
	var errs []error
	var redis *process
	for _, p := range b.processes {
		if p.name == "redis" {
			redis = p
			continue
		}
		p.ask()
	}
	for _, p := range b.processes {
		if p != redis {
			errs = append(errs, p.end())
		}
	}
	if redis != nil {
		errs = append(errs, redis.end())
	}
	if b.redis != nil {
		errs = append(errs, b.redis.Close())
	}
	return errors.Join(errs...)
}

// firstLine runs a command and returns the first line it prints.
func firstLine(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return program + ": " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
