package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/agentmesh/agentmesh/internal/bench/rx"
)

//go:embed rxpy.py
var rxpy string

// peers in the order of the columns; the first is what the others are compared with.
var peers = []struct {
	name string
	flow func(context.Context, rx.Shape) rx.Flow
	n    int
}{
	{"observables", rx.Observables, 400_000},
	{"rxgo unbuffered", rxgoUnbuffered, 30_000},
	{"rxgo buffered+ctx", rxgoBuffered, 60_000},
	{"samber/ro", roFlow, 200_000},
	{"direct calls", rx.Direct, 1_000_000},
}

const rxpyName = "RxPY"

var shapes = []rx.Shape{
	{Operators: 0, Subscribers: 1, Publishers: 1}, {Operators: 1, Subscribers: 1, Publishers: 1},
	{Operators: 3, Subscribers: 1, Publishers: 1}, {Operators: 5, Subscribers: 1, Publishers: 1},
	{Operators: 0, Subscribers: 3, Publishers: 1}, {Operators: 5, Subscribers: 3, Publishers: 1},
	{Operators: 5, Subscribers: 1, Publishers: 4}, {Operators: 5, Subscribers: 3, Publishers: 4},
}

func main() {
	rounds := flag.Int("rounds", 5, "interleaved rounds; the figures are medians")
	python := flag.String("python", "/usr/bin/python3", "the Python that has RxPY (Debian: apt-get install python3-rx)")
	paced := flag.Duration("paced", time.Second, "how long each paced flow runs in a round")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	fmt.Printf("%s, %s/%s, %d cores, medians of %d interleaved rounds\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *rounds)
	items(ctx, *rounds, *python)
	pace(ctx, *rounds, *paced)
	inbound(ctx, *rounds)
}

// items prints the cost of an item for each shape and library.
func items(ctx context.Context, rounds int, python string) {
	costs := map[string]map[rx.Shape][]rx.Cost{rxpyName: {}}
	for range rounds {
		for _, s := range shapes {
			for _, p := range peers {
				if costs[p.name] == nil {
					costs[p.name] = map[rx.Shape][]rx.Cost{}
				}
				inner, cancel := context.WithCancel(ctx)
				costs[p.name][s] = append(costs[p.name][s], rx.Measure(p.flow(inner, s), s.Publishers, p.n))
				cancel()
			}
		}
		for s, c := range runRxPY(ctx, python) {
			costs[rxpyName][s] = append(costs[rxpyName][s], c)
		}
	}
	names := []string{}
	for _, p := range peers {
		names = append(names, p.name)
	}
	names = append(names, rxpyName)
	fmt.Printf("ns of wall / ns of CPU per published item (allocations if any; × observables by CPU, which other load on the machine disturbs least)\n\n")
	fmt.Printf("| operators, subscribers, publishers | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, s := range shapes {
		fmt.Printf("| %d, %d, %d |", s.Operators, s.Subscribers, s.Publishers)
		ours := median(costs[peers[0].name][s])
		for i, name := range names {
			c := costs[name][s]
			if len(c) == 0 {
				fmt.Print(" - |")
				continue
			}
			m := median(c)
			fmt.Printf(" %d / %d", m.Wall, m.CPU)
			if m.Allocs >= 0.05 {
				fmt.Printf(", %.1f allocs", m.Allocs)
			}
			if i > 0 {
				fmt.Printf(" (%.1f×)", float64(m.CPU)/float64(max(ours.CPU, 1)))
			}
			fmt.Print(" |")
		}
		fmt.Println()
	}
	fmt.Println()
}

// runRxPY measures the shapes with one publisher in a process of its own; Python has no others that run at
// the same time.
func runRxPY(ctx context.Context, python string) map[rx.Shape]rx.Cost {
	args := []string{"-c", rxpy}
	for _, s := range shapes {
		if s.Publishers == 1 {
			args = append(args, fmt.Sprintf("%d,%d", s.Operators, s.Subscribers))
		}
	}
	out, err := exec.CommandContext(ctx, python, args...).Output()
	if err != nil {
		log.Printf("RxPY is left out (apt-get install python3-rx): %v", err)
		return nil
	}
	costs := map[rx.Shape]rx.Cost{}
	for line := range strings.Lines(string(out)) {
		s := rx.Shape{Publishers: 1}
		var wall, cpu int64
		if _, err := fmt.Sscan(line, &s.Operators, &s.Subscribers, &wall, &cpu); err == nil {
			costs[s] = rx.Cost{Wall: time.Duration(wall), CPU: time.Duration(cpu)}
		}
	}
	return costs
}

// pace prints who holds a fixed rate, and with how much of the machine.
func pace(ctx context.Context, rounds int, during time.Duration) {
	const perSecond = 300_000
	shape := rx.Shape{Operators: 5, Subscribers: 3, Publishers: 1}
	rates, cores := map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for _, p := range peers {
			inner, cancel := context.WithCancel(ctx)
			rate, used := rx.Pace(p.flow(inner, shape), perSecond, during)
			cancel()
			rates[p.name], cores[p.name] = append(rates[p.name], rate), append(cores[p.name], used)
		}
	}
	fmt.Printf("paced: %d items/s to 3 subscribers through 5 operators\n\n| | items/s held | cores used |\n|---|---|---|\n", perSecond)
	for _, p := range peers {
		fmt.Printf("| %s | %.0f | %.2f |\n", p.name, middle(rates[p.name]), middle(cores[p.name]))
	}
	fmt.Println()
}

// inbound prints the cost of a message on its whole way in.
func inbound(ctx context.Context, rounds int) {
	ways := []struct {
		name  string
		watch rx.Watch
	}{{"", nil}, {", with metrics", rx.Metrics()}}
	costs := make([][]rx.Cost, len(ways))
	for range rounds {
		for i, way := range ways {
			f, err := rx.Inbound(ctx, way.watch)
			if err != nil {
				log.Fatal(err)
			}
			costs[i] = append(costs[i], rx.Measure(f, 1, 300_000))
		}
	}
	for i, way := range ways {
		m := median(costs[i])
		fmt.Printf("inbound: decode, rate limit, session check (cached), mux%s: %d ns of wall, %d ns of CPU, %.1f allocs a message\n", way.name, m.Wall, m.CPU, m.Allocs)
	}
	fmt.Printf("so metrics cost %d ns of CPU a message\n", median(costs[1]).CPU-median(costs[0]).CPU)
}

func median(costs []rx.Cost) rx.Cost {
	var wall, cpu, allocs []float64
	for _, c := range costs {
		wall, cpu, allocs = append(wall, float64(c.Wall)), append(cpu, float64(c.CPU)), append(allocs, c.Allocs)
	}
	return rx.Cost{Wall: time.Duration(middle(wall)), CPU: time.Duration(middle(cpu)), Allocs: middle(allocs)}
}

func middle(xs []float64) float64 {
	xs = slices.Sorted(slices.Values(xs))
	return xs[len(xs)/2]
}
