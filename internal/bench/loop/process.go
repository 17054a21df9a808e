package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that this one started, and ends.
type process struct {
	name string
	cmd  *exec.Cmd
	log  bytes.Buffer // its standard error; read after it has ended
	out  *bufio.Reader
}

func start(ctx context.Context, name string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// ready reads the line that begins with "ready" and returns the value of zmq= in it.
func (p *process) ready() (endpoint string, err error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s ended before it was ready: %w", p.name, err)
	}
	for field := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(field, "zmq="); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("%s said %q, not where it listens", p.name, line)
}

// ask asks the process to end.
func (p *process) ask() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// end ends the process in order, by force if that takes long.
func (p *process) end() error {
	p.ask()
	force := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	_, _ = io.Copy(io.Discard, p.out) // until it closes its output
	err := p.cmd.Wait()
	if !force.Stop() {
		return fmt.Errorf("%s did not end within 10 s: %s", p.name, p.log.String())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return fmt.Errorf("%s: %w: %s", p.name, err, p.log.String())
	}
	return nil // it was ended by our signal
}

// clockTick is USER_HZ, which Linux has fixed at 100 for programs.
const clockTick = 10 * time.Millisecond

// cpuTime is the processor time that a process has used, from /proc/PID/stat (proc_pid_stat(5)).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the command's name may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}
