package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// describeMachine says where the figures are from; before is the load when the run began.
func describeMachine(ctx context.Context, before string) []string {
	return []string{
		fmt.Sprintf("%s, %d cores, load %s before and %s after, %s", field("/proc/cpuinfo", "model name"), runtime.NumCPU(), before, load1(), kernel()),
		fmt.Sprintf("%s, agentmesh %s, %s", runtime.Version(), revision(ctx), time.Now().UTC().Format(time.DateOnly)),
		firstLine(ctx, "redis-server", "--version"),
		firstLine(ctx, python, "-c", "import sys, zmq; print('Python', sys.version.split()[0], 'pyzmq', zmq.__version__, 'libzmq', zmq.zmq_version())"),
	}
}

func revision(ctx context.Context) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 7 {
				return s.Value[:7]
			}
		}
	}
	return firstLine(ctx, "git", "rev-parse", "--short", "HEAD") // go run stamps nothing
}

func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func load1() string {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ")
	return load
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return runtime.GOOS + " " + strings.TrimSpace(string(text))
}
