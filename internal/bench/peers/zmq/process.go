package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const patience = 30 * time.Second

// process is one end.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string
}

// begin starts an end; more files are its descriptors 3 and up.
func (b *bed) begin(ctx context.Context, c contender, role string, more []*os.File, args ...string) (*process, error) {
	all := append(append([]string{}, c.command[1:]...), role)
	all = append(all, args...)
	if path := profilePath(b.profiles, c.short, role); path != "" {
		all = append(all, "profile="+path)
	}
	p := &process{cmd: exec.CommandContext(ctx, c.command[0], all...), lines: make(chan string, 8)}
	p.cmd.Stderr, p.cmd.ExtraFiles, p.cmd.Env = os.Stderr, more, append(os.Environ(), c.env...)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p, nil
}

// expect returns what follows a word that the process prints.
func (p *process) expect(word string) (string, error) {
	if p == nil {
		return "", errors.New("not started")
	}
	select {
	case line, ok := <-p.lines:
		rest, found := strings.CutPrefix(line, word)
		switch {
		case !ok:
			return "", errors.New("an end has ended")
		case !found:
			return "", errors.New(line)
		}
		return strings.TrimSpace(rest), nil
	case <-time.After(patience):
		return "", fmt.Errorf("void: %s did not come", word)
	}
}

// result reads figures name=value.
func (p *process) result() (map[string]float64, error) {
	line, err := p.expect("result")
	if err != nil {
		return nil, err
	}
	figures := map[string]float64{}
	for _, f := range strings.Fields(line) {
		name, value, _ := strings.Cut(f, "=")
		if figures[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

// end lets the process finish, and kills it if it does not.
func (p *process) end() {
	if p == nil {
		return
	}
	p.stdin.Close()
	timer := time.AfterFunc(2*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if p.cmd.Args[0] == "/usr/bin/python3" || strings.HasSuffix(p.cmd.Path, "/libzmq") {
		_ = p.cmd.Process.Kill() // their servers do not listen for the end
	}
	for range p.lines { // until it has closed them
	}
	_ = p.cmd.Wait()
}

// cpu is the CPU time in microseconds that the process has used, by the hundredth of a second.
func (p *process) cpu() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) * 1e4
}
