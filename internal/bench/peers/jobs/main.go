package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

// A measure is one line of comparison.
type measure struct {
	name   string
	run    func(system) (result, error)
	always bool // with every confirmed job on the disk
	acks   bool // of workers
	keyed  bool // ours alone has order per key: it is compared with the others' lack of it
}

var measures = []measure{
	{name: "confirmed enqueue, 64 callers", run: enqueueing(64)},
	{name: "confirmed enqueue, 512 callers", run: enqueueing(512)},
	{name: "backlog, 50 workers", run: working, acks: true},
	{name: unkeyed, run: both(0), acks: true},
	{name: "the same, in order for each of 5000 keys", run: both(5000), keyed: true},
	{name: "agent to agent, 64 callers", run: addressed},
	{name: "latency at 200/s", run: latency(200)},
	{name: "fsync always: enqueue, 64 callers", run: enqueueing(64), always: true},
	{name: "fsync always: 64 callers and 50 workers", run: both(0), always: true},
}

func main() {
	rounds := flag.Int("rounds", 3, "how often everything is measured, in turns")
	only := flag.String("only", "", "measure only what contains this")
	nats := flag.String("nats", "", "be the NATS server: directory:port")
	always := flag.Bool("always", false, "with -nats: write through to the disk")
	flag.Parse()
	var err error
	if *nats != "" {
		dir, port, _ := net.SplitHostPort(*nats)
		err = natsServer(port, dir, *always)
	} else {
		err = compare(*rounds, *only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-jobs:", err)
		os.Exit(1)
	}
}

func compare(rounds int, only string) error {
	t := newTable()
	begin := time.Now()
	for round := range rounds {
		for _, m := range measures {
			if !contains(m.name, only) {
				continue
			}
			for i := range contenders {
				c := contenders[(i+round)%len(contenders)] // nobody is always the first
				if m.keyed && c.name != ownName || c.acks && !m.acks {
					continue
				}
				r, err := once(c, m)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", m.name, c.name, err)
				}
				t.add(m.name, c.name, r)
				fmt.Fprintf(os.Stderr, "%d/%d %-42s %-22s %s\n", round+1, rounds, m.name, c.name, r)
			}
		}
		if contains("redis-benchmark", only) {
			for _, l := range []struct{ clients, pipeline int }{{64, 1}, {64, 64}} {
				rate, err := redisLimit(l.clients, l.pipeline)
				if err != nil {
					return err
				}
				t.add(limitName(l.pipeline), "redis-benchmark", result{rate: rate})
			}
		}
	}
	t.print(os.Stdout, rounds, time.Since(begin))
	return nil
}

func once(c contender, m measure) (result, error) {
	s, err := c.open(m.always)
	if err != nil {
		return result{}, err
	}
	defer s.close()
	return m.run(s)
}
