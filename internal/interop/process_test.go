package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is for what must happen; it is long because the machine may be busy.
const patience = 40 * time.Second

// process is a program that runs until the test ends.
type process struct {
	lines chan string // of its standard output
	stdin io.WriteCloser
	logs  *logs
	kill  func()
}

func start(t testing.TB, env []string, name string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(name, args...)
	p := &process{lines: make(chan string, 1<<14), logs: &logs{}}
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), p.logs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		scanner := bufio.NewScanner(stdout)
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
	}()
	p.kill = func() { _ = cmd.Process.Kill() }
	t.Cleanup(func() {
		p.kill()
		for range p.lines { // what nobody has read
		}
		<-done
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s %s logged:\n%s", name, strings.Join(args, " "), p.logs.tail(3000))
		}
	})
	return p
}

// line returns the next line the program prints.
func (p *process) line(t testing.TB) string {
	t.Helper()
	select {
	case l, open := <-p.lines:
		if open {
			return l
		}
		t.Fatalf("the program has ended:\n%s", p.logs.tail(3000))
	case <-time.After(patience):
		t.Fatalf("nothing within %v:\n%s", patience, p.logs.tail(3000))
	}
	return ""
}

// ready reads our program's line "ready KEY=VALUE …".
func (p *process) ready(t testing.TB) map[string]string {
	t.Helper()
	line := p.line(t)
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "ready" {
		t.Fatalf("the first line is %q, not ready", line)
	}
	values := map[string]string{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		values[k] = v
	}
	return values
}

// runCommand runs our program to its end.
func runCommand(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
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
