package testrun

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what must come.
const Patience = 20 * time.Second

// Program is a run function that runs until the test ends.
type Program struct {
	tb     testing.TB
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // once ended

	mu      sync.Mutex
	out     bytes.Buffer
	changed chan struct{}
}

// Start runs run with args until the test ends.
func Start(tb testing.TB, run func(ctx context.Context, args []string, out io.Writer) error, args ...string) *Program {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Program{tb: tb, cancel: cancel, ended: make(chan struct{}), changed: make(chan struct{})}
	go func() { // joined by Stop
		defer close(p.ended)
		p.err = run(ctx, args, p)
	}()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("%q printed:\n%s", args, p.String())
		}
	})
	return p
}

// Write takes what the program prints.
func (p *Program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	return p.out.Write(b)
}

// String is what the program has printed.
func (p *Program) String() string {
	text, _ := p.printed()
	return text
}

func (p *Program) printed() (text string, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String(), p.changed
}

// Prints waits until the program has printed a whole line that pattern matches and returns its first group, or
// all of it. What stands in a line that has no end yet does not count: some programs write a line in pieces.
func (p *Program) Prints(pattern string) string {
	p.tb.Helper()
	expr := regexp.MustCompile("(?m)" + pattern)
	deadline := time.After(Patience)
	for ended := false; ; {
		text, changed := p.printed()
		lines := text[:strings.LastIndexByte(text, '\n')+1]
		if found := expr.FindStringSubmatch(lines); found != nil {
			return found[min(1, len(found)-1)]
		}
		if ended {
			p.tb.Fatalf("it has ended (%v) and not printed %q but:\n%s", p.err, pattern, text)
		}
		select {
		case <-changed:
		case <-p.ended:
			ended = true // what it printed last is seen once more
		case <-deadline:
			p.tb.Fatalf("it has not printed %q but:\n%s", pattern, text)
		}
	}
}

// Ends waits until the program has ended by itself, without an error.
func (p *Program) Ends() {
	p.tb.Helper()
	select {
	case <-p.ended:
		if p.err != nil {
			p.tb.Errorf("it returned %v", p.err)
		}
	case <-time.After(Patience):
		p.tb.Error("it has not ended")
	}
}

// Stop interrupts the program, which must end without an error.
func (p *Program) Stop() {
	p.tb.Helper()
	p.cancel()
	p.Ends()
}
