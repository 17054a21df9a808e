package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
)

// bin holds the programs under test, built once.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "agentmesh-e2e-")
	if err != nil {
		panic(err)
	}
	bin = dir
	build := exec.Command("go", "build", "-o", dir, "github.com/agentmesh/agentmesh/cmd/agentmesh", "github.com/agentmesh/agentmesh/examples/game")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs under test: %v\n%s", err, out)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	leaktest.Main(cleanup{m, dir})
}

// cleanup removes the programs after the tests: leaktest.Main ends the process.
type cleanup struct {
	*testing.M
	dir string
}

// Run runs the tests.
func (c cleanup) Run() int {
	defer os.RemoveAll(c.dir)
	return c.M.Run()
}

// process is one program of ours that runs.
type process struct {
	tb   testing.TB
	cmd  *exec.Cmd
	out  chan string // its lines on standard output
	in   io.WriteCloser
	logs *logs
	done chan struct{}
}

// start runs a program until the test ends.
func start(tb testing.TB, env []string, name string, args ...string) *process {
	tb.Helper()
	if !strings.Contains(name, "/") {
		name = filepath.Join(bin, name)
	}
	p := &process{tb: tb, cmd: exec.Command(name, args...), out: make(chan string, 200000), logs: &logs{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.logs
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.out <- lines.Text()
		}
		close(p.out)
		_ = p.cmd.Wait()
	}()
	tb.Cleanup(func() {
		p.kill()
		if tb.Failed() {
			tb.Logf("%s logged:\n%s", filepath.Base(name), p.logs.tail(4000))
		}
	})
	return p
}

func (p *process) kill() { p.end(syscall.SIGKILL) }

func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.tb.Errorf("%s did not end after %v", p.cmd.Path, sig)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// line returns the next line the program prints.
func (p *process) line(what string) string {
	p.tb.Helper()
	select {
	case l, ok := <-p.out:
		if ok {
			return l
		}
		<-p.done
		p.tb.Fatalf("waiting for %s: the program ended: %v\n%s", what, p.cmd.ProcessState, p.logs.tail(4000))
	case <-time.After(30 * time.Second):
		p.tb.Fatalf("waiting for %s: nothing within 30 s\n%s", what, p.logs.tail(4000))
	}
	return ""
}

// logs is a program's standard error.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buf.Bytes()
	return string(b[max(0, len(b)-n):])
}

// agent is a running `agentmesh serve`.
type agent struct {
	*process
	zmq, ws, http string
}

// serve starts an agent of the mesh on redisURL.
func serve(tb testing.TB, name, redisURL string, args ...string) *agent {
	tb.Helper()
	return serveAt(tb, name, redisURL, "tcp://127.0.0.1:0", "127.0.0.1:0", args...)
}

func serveAt(tb testing.TB, name, redisURL, zmq, http string, args ...string) *agent {
	tb.Helper()
	all := append([]string{"serve", "--name", name, "--redis", redisURL, "--zmq", zmq, "--http", http, "--global-rate", "-1"}, args...)
	a := &agent{process: start(tb, nil, "agentmesh", all...)}
	ready := a.line("the ready line of " + name)
	if !strings.HasPrefix(ready, "ready ") {
		tb.Fatalf("%s: the first line is %q, not ready", name, ready)
	}
	for field := range strings.FieldsSeq(ready) {
		k, v, _ := strings.Cut(field, "=")
		switch k {
		case "zmq":
			a.zmq = v
		case "http":
			a.http, a.ws = v, strings.Replace(v, "http://", "ws://", 1)+"/ws"
		}
	}
	return a
}

// run runs a command of agentmesh to its end.
func run(tb testing.TB, stdin string, args ...string) (string, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "agentmesh"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// login makes a session with the command line.
func login(tb testing.TB, redisURL, user string, args ...string) string {
	tb.Helper()
	token, err := run(tb, "", append([]string{"session", "create", "--redis", redisURL, "--user", user}, args...)...)
	if err != nil || token == "" {
		tb.Fatalf("session create: %q, %v", token, err)
	}
	return token
}
