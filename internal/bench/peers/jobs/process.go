package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// A process is a server on a port and a directory of its own.
type process struct {
	addr string
	dir  string
	cmd  *exec.Cmd
}

// spawn starts a server. command gets the port and the directory.
func spawn(command func(port, dir string) *exec.Cmd) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{addr: l.Addr().String()}
	l.Close()
	if p.dir, err = os.MkdirTemp("", "bench-jobs-"); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(p.addr)
	p.cmd = command(port, p.dir)
	if err := p.cmd.Start(); err != nil {
		os.RemoveAll(p.dir)
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			c.Close()
			return p, nil
		}
		if time.Now().After(end) {
			p.kill()
			return nil, fmt.Errorf("%s does not listen on %s", p.cmd.Path, p.addr)
		}
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	os.RemoveAll(p.dir)
}

// ticksPerSecond is Linux's USER_HZ, the unit of /proc/<pid>/stat.
const ticksPerSecond = 100

// cpu is the CPU time that the server has used.
func (p *process) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func startRedis(always bool) (*process, error) {
	p, err := spawn(func(port, dir string) *exec.Cmd {
		args := []string{"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", ""}
		if always {
			args = append(args, "--appendonly", "yes", "--appendfsync", "always")
		}
		return exec.Command("redis-server", args...)
	})
	if err != nil {
		return nil, err
	}
	c := redis.NewClient(&redis.Options{Addr: p.addr})
	defer c.Close()
	if err := c.Ping(context.Background()).Err(); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}
