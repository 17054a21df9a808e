package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const ownName = "jobs"

func contains(name, part string) bool { return strings.Contains(name, part) }

func limitName(pipeline int) string {
	return fmt.Sprintf("redis-benchmark XADD, 64 connections, pipelines of %d", pipeline)
}

func (r result) String() string {
	s := fmt.Sprintf("%8.0f/s  server %5.1f µs  client %5.1f µs", r.rate, r.server, r.client)
	if r.p50 > 0 {
		s += fmt.Sprintf("  p50 %v  p99 %v", r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond))
	}
	if r.void != "" {
		s += "  VOID: " + r.void
	}
	return s
}

// table collects results by measure and system.
type table struct {
	order   []string
	results map[string]map[string][]result
}

func newTable() *table { return &table{results: make(map[string]map[string][]result)} }

func (t *table) add(measure, system string, r result) {
	if t.results[measure] == nil {
		t.results[measure] = make(map[string][]result)
		t.order = append(t.order, measure)
	}
	t.results[measure][system] = append(t.results[measure][system], r)
}

func median(list []result, f func(result) float64) float64 {
	values := make([]float64, len(list))
	for i, r := range list {
		values[i] = f(r)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func rateOf(r result) float64 { return r.rate }
func p50Of(r result) float64  { return float64(r.p50) }

// ratio gives the median and range of ours/it over the rounds.
func ratio(ours, it []result, f func(result) float64) string {
	var list []result
	for i := range min(len(ours), len(it)) {
		if f(it[i]) > 0 {
			list = append(list, result{rate: f(ours[i]) / f(it[i])})
		}
	}
	if len(list) == 0 {
		return ""
	}
	low := slices.MinFunc(list, byRate).rate
	high := slices.MaxFunc(list, byRate).rate
	m := median(list, rateOf)
	if m < 0.05 {
		return fmt.Sprintf("1/%.0f [1/%.0f..1/%.0f]", 1/m, 1/high, 1/low)
	}
	return fmt.Sprintf("%.2f [%.2f..%.2f]", m, low, high)
}

func byRate(a, b result) int {
	switch {
	case a.rate < b.rate:
		return -1
	case a.rate > b.rate:
		return 1
	}
	return 0
}

// unkeyed is what keyed work is compared with.
const unkeyed = "64 callers and 50 workers"

func (t *table) print(w io.Writer, rounds int, took time.Duration) {
	fmt.Fprintf(w, "%s; %d rounds in %v.\n\n", machine(), rounds, took.Round(time.Second))
	fmt.Fprintln(w, "| | system | jobs/s | server CPU µs/job | client CPU µs/job | p50 / p99 ms | jobs : it |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, name := range t.order {
		systems := t.results[name]
		others := systems
		ours := systems[ownName]
		if len(systems) == 1 && ours != nil && t.results[unkeyed] != nil {
			others = t.results[unkeyed]
			fmt.Fprint(w, row(name, ownName, ours, "", ""))
		} else if ours != nil {
			fmt.Fprint(w, row(name, ownName, ours, "", ""))
		}
		for _, c := range append(contenders[1:], contender{name: "redis-benchmark"}) {
			it := others[c.name]
			if it == nil {
				continue
			}
			f, label := rateOf, c.name
			if it[0].p50 > 0 {
				f = p50Of
			}
			base := ours
			if base == nil {
				base = t.results[measures[0].name][ownName]
			}
			if systems[c.name] == nil {
				label += ", no order"
			}
			fmt.Fprint(w, row("", label, it, ratio(base, it, f), name))
		}
	}
}

func row(name, system string, list []result, ratio, under string) string {
	if system == "redis-benchmark" {
		name = under
	}
	latency := ""
	if list[0].p50 > 0 {
		latency = fmt.Sprintf("%.2f / %.2f", median(list, p50Of)/1e6, median(list, func(r result) float64 { return float64(r.p99) })/1e6)
	}
	void := ""
	for _, r := range list {
		if r.void != "" {
			void = " VOID: " + r.void
		}
	}
	cpu := func(f func(result) float64) string {
		if v := median(list, f); v > 0 {
			return fmt.Sprintf("%.1f", v)
		}
		return ""
	}
	return fmt.Sprintf("| %s | %s | %.0f%s | %s | %s | %s | %s |\n", name, system, median(list, rateOf), void,
		cpu(func(r result) float64 { return r.server }), cpu(func(r result) float64 { return r.client }), latency, ratio)
}

// machine says what it ran on, and with which versions.
func machine() string {
	model := "?"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	parts := []string{fmt.Sprintf("%d CPUs (%s)", runtime.NumCPU(), model), runtime.Version()}
	if out, err := exec.Command("redis-server", "--version").Output(); err == nil {
		parts = append(parts, strings.Join(strings.Fields(string(out))[:3], " "))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			switch d.Path {
			case "github.com/hibiken/asynq", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "github.com/redis/go-redis/v9":
				parts = append(parts, d.Path[strings.IndexByte(d.Path, '/')+1:]+" "+d.Version)
			}
		}
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		parts = append(parts, "load at the end "+strings.Fields(string(b))[0])
	}
	return strings.Join(parts, ", ")
}
