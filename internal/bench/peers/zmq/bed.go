package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed native/libzmq.c
var libzmqSource []byte

//go:embed native/pyzmq.py
var pyzmqSource []byte

// contender is an implementation: the command that its ends begin with.
type contender struct {
	name    string
	command []string
	short   string // in names of files
	env     []string
}

// The names of contenders.
const (
	ours       = "ours"
	oursSocket = "ours, zmq4.Socket"
	oursGOGC   = "ours, GOGC=400"
	libzmq     = "libzmq"
	pebbe      = "pebbe/zmq4"
	pyzmq      = "pyzmq"
	stockName  = "go-zeromq/zmq4"
)

// bed is where the measurements are made.
type bed struct {
	options
	dir  string
	c    string // the program in C
	all  []contender
	keys string
}

func newBed(ctx context.Context, o options) (*bed, error) {
	dir, err := os.MkdirTemp("", "bench-zmq-")
	if err != nil {
		return nil, err
	}
	b := &bed{options: o, dir: dir, c: filepath.Join(dir, "libzmq")}
	if err := b.build(ctx); err != nil {
		b.close()
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, c := range []contender{
		{name: ours, command: []string{self, "end", "ours"}, short: "ours"},
		{name: oursGOGC, command: []string{self, "end", "ours"}, short: "gogc", env: []string{"GOGC=400"}},
		{name: oursSocket, command: []string{self, "end", "socket"}, short: "socket"},
		{name: libzmq, command: []string{b.c}, short: "libzmq"},
		{name: pebbe, command: []string{filepath.Join(dir, "pebbe")}, short: "pebbe"},
		{name: pyzmq, command: []string{"/usr/bin/python3", filepath.Join(dir, "pyzmq.py")}, short: "pyzmq"},
		{name: stockName, command: []string{self, "end", "stock"}, short: "stock"},
	} {
		if o.who.MatchString(c.name) || c.name == libzmq {
			b.all = append(b.all, c)
		}
	}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return nil, err
		}
	}
	b.keys, err = curveKeys()
	return b, err
}

func (b *bed) build(ctx context.Context) error {
	source := filepath.Join(b.dir, "libzmq.c")
	if err := os.WriteFile(source, libzmqSource, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "pyzmq.py"), pyzmqSource, 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"gcc", "-O2", "-o", b.c, source, "-lzmq"},
		{"go", "build", "-o", b.dir, "github.com/agentmesh/agentmesh/internal/bench/peers/zmq/pebbe"},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w (apt-get install gcc libzmq3-dev python3-zmq)\n%s", args[0], err, out)
		}
	}
	return nil
}

func (b *bed) close() { os.RemoveAll(b.dir) }

// which picks contenders by name.
func (b *bed) which(names ...string) []contender {
	var picked []contender
	for _, c := range b.all {
		for _, n := range names {
			if c.name == n {
				picked = append(picked, c)
			}
		}
	}
	return picked
}

// curveKeys are the server's secret and public key, then the client's.
func curveKeys() (string, error) {
	var all []string
	for range 2 {
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return "", err
		}
		all = append(all, hex.EncodeToString(k.Bytes()), hex.EncodeToString(k.PublicKey().Bytes()))
	}
	return strings.Join(all, ","), nil
}

func (b *bed) versions(ctx context.Context) []string {
	lines := []string{fmt.Sprintf("ours: %s, agentmesh %s; go-zeromq/zmq4 v0.17.0", runtime.Version(), firstLine(ctx, "git", "rev-parse", "--short", "HEAD"))}
	for _, c := range b.which(libzmq, pebbe, pyzmq) {
		lines = append(lines, firstLine(ctx, append(c.command, "version")...))
	}
	return lines
}

func firstLine(ctx context.Context, args ...string) string {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return args[0] + ": " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func machine() string {
	model := "unknown"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d cores, Linux %s, loopback", model, runtime.NumCPU(), strings.TrimSpace(string(release)))
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
