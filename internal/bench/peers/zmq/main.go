package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"time"

	"github.com/agentmesh/agentmesh/internal/bench/peers/zmq/ends"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "end" {
		end(os.Args[2], os.Args[3], ends.ParseOptions(os.Args[4:]))
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "interleaved rounds; the figures are medians")
	flag.DurationVar(&o.during, "during", 250*time.Millisecond, "how long one measurement sends")
	flag.BoolVar(&o.quick, "quick", false, "two minutes: shorter, fewer cases, only ours and libzmq")
	flag.StringVar(&o.profiles, "profile", "", "write CPU profiles of our ends to this directory")
	only := flag.String("only", "", "a regular expression: the cases to measure")
	who := flag.String("who", "", "a regular expression: the contenders")
	flag.Parse()
	if o.quick {
		o.during = min(o.during, 150*time.Millisecond)
		if *who == "" {
			*who = "^ours|^libzmq"
		}
	}
	o.only, o.who = regexp.MustCompile(*only), regexp.MustCompile(*who)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

// options of a run.
type options struct {
	rounds    int
	during    time.Duration
	quick     bool
	profiles  string
	only, who *regexp.Regexp
}

func run(ctx context.Context, o options) error {
	bed, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer bed.close()
	before := load()
	var cases []*measurement
	total := 0
	for _, c := range bed.cases() {
		if o.only.MatchString(c.name()) {
			cases = append(cases, c)
			total += len(c.who) * o.rounds
		}
	}
	began, done := time.Now(), 0
	for round := range o.rounds {
		for _, c := range cases {
			for i := range c.who {
				who := c.who[(i+round)%len(c.who)]
				f, err := c.run(ctx, who)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					f.void = err.Error()
				}
				c.add(who.name, f)
				done++
				fmt.Fprintf(os.Stderr, "%3.0fs %d/%d %s: %s: %s\n", time.Since(began).Seconds(), done, total, c.name(), who.name, f)
			}
		}
	}
	fmt.Printf("%s, load %s before and %s after; %d rounds in %.0f s\n\n", machine(), before, load(), o.rounds, time.Since(began).Seconds())
	for _, v := range bed.versions(ctx) {
		fmt.Println("-", v)
	}
	report(os.Stdout, cases)
	return nil
}

// end is one end of a measurement, in Go.
func end(name, role string, o ends.Options) {
	if path := o["profile"]; path != "" {
		f := ends.Got(os.Create(path))
		ends.Must(pprof.StartCPUProfile(f))
		ends.AtEnd = func() {
			pprof.StopCPUProfile()
			f.Close()
		}
	}
	switch {
	case name == "ours":
		playOurs(role, o)
	case role == "broker" && name == "stock":
		stockBroker()
	case name == "stock":
		stock.Play(role, o)
	default:
		ourSockets.Play(role, o)
	}
}

func profilePath(dir, name, role string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name+"-"+role+".pprof")
}
