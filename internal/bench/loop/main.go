package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loop:", err)
		os.Exit(1)
	}
}

// options say what is measured.
type options struct {
	rounds, messages, size int
	window                 int // in flight, of all pairs together
	pairs                  []int
	probes                 int // messages of the latency cells
	rate                   int
	systems                []system
	profile                string
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("loop", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	f.IntVar(&o.messages, "messages", 20000, "messages of one throughput cell, all pairs together")
	f.IntVar(&o.size, "size", 64, "bytes of a message's text, at least 10")
	f.IntVar(&o.window, "window", 1000, "messages in flight in a throughput cell, all pairs together")
	f.IntVar(&o.probes, "probes", 2000, "messages of one latency cell")
	f.IntVar(&o.rate, "rate", 500, "messages per second of the latency cell with a fixed rate")
	f.StringVar(&o.profile, "profile", "", "write CPU profiles of two agents into this directory instead")
	names := f.String("systems", "", "only these, as in the tables, separated by commas; empty means all")
	pairs := f.String("pairs", "1,8,64", "numbers of senders, each with a recipient")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for field := range strings.SplitSeq(*pairs, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-pairs %s: want numbers like 1,8,64", *pairs)
		}
		o.pairs = append(o.pairs, n)
	}
	if o.rounds < 1 || o.messages < 1 || o.size < digits || o.window < 1 || o.probes < 1 || o.rate < 1 {
		return o, errors.New("-rounds, -messages, -window, -probes and -rate must be at least 1, -size 10")
	}
	if o.profile != "" {
		*names = systems[0].name
	}
	o.systems, err = chosen(*names)
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if path := os.Getenv(profileVariable); path != "" {
		return profiledAgent(ctx, path, args, stdout)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "agentmesh-loop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	k, err := newKit(ctx, dir, o.profile)
	if err != nil {
		return err
	}
	r, load := newReport(o), load1()
	if err := measureAll(ctx, o, k, r, stderr); err != nil {
		return err
	}
	return r.write(stdout, describeMachine(ctx, load))
}

// measureAll fills the report, the systems taking turns.
func measureAll(ctx context.Context, o options, k *kit, r *report, progress io.Writer) error {
	cells := o.rounds * len(o.pairs) * len(o.systems)
	for round, n := 0, 0; round < o.rounds; round++ {
		for _, pairs := range o.pairs {
			for _, s := range o.systems {
				n++
				fmt.Fprintf(progress, "\r\x1b[K%d/%d: round %d, %s, %d pairs", n, cells, round+1, s.name, pairs)
				if err := measureCell(ctx, o, k, s, pairs, r); err != nil {
					fmt.Fprintln(progress)
					return fmt.Errorf("%s, %d pairs: %w", s.name, pairs, err)
				}
			}
		}
	}
	fmt.Fprintln(progress)
	return nil
}

// measureCell starts a system, measures it with a number of pairs and ends it.
func measureCell(ctx context.Context, o options, k *kit, s system, pairs int, r *report) (err error) {
	bed, err := k.start(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.stop()) }()
	group, err := connect(ctx, bed, pairs, o.size)
	if err != nil {
		return err
	}
	defer group.close()
	if err := group.warm(ctx); err != nil {
		return err
	}
	before, err := bed.cpu()
	if err != nil {
		return err
	}
	per := max(1, o.messages/pairs)
	flow, err := group.flow(ctx, load{messages: per, window: max(1, o.window/pairs)})
	if err != nil {
		return err
	}
	after, err := bed.cpu()
	if err != nil {
		return err
	}
	total := float64(per * pairs)
	cell := throughput{rate: total / flow.took.Seconds(), cpu: map[string]float64{}}
	for name, ns := range after {
		cell.cpu[name] = float64(ns-before[name]) / total / 1000
	}
	r.addThroughput(s.name, pairs, cell)
	if pairs > 1 {
		return nil
	}
	closed, err := group.flow(ctx, load{messages: o.probes, window: 1})
	if err != nil {
		return err
	}
	paced, err := group.flow(ctx, load{messages: o.probes, window: o.window, rate: o.rate})
	if err != nil {
		return err
	}
	r.addLatency(s.name, latency{
		closedRate: float64(o.probes) / closed.took.Seconds(), closed: closed.latencies, acked: closed.acks, paced: paced.latencies,
	})
	return nil
}
