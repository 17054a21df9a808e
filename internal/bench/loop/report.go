package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// throughput is one measurement of messages as fast as they go.
type throughput struct {
	rate float64            // messages per second
	cpu  map[string]float64 // µs per message, by process
}

// latency is one measurement with a single pair.
type latency struct {
	closedRate           float64 // messages per second with one in flight
	closed, acked, paced []time.Duration
}

type cell struct {
	system string
	pairs  int
}

// report is what was measured, round by round.
type report struct {
	options     options
	throughputs map[cell][]throughput
	latencies   map[string][]latency
}

func newReport(o options) *report {
	return &report{options: o, throughputs: map[cell][]throughput{}, latencies: map[string][]latency{}}
}

func (r *report) addThroughput(system string, pairs int, t throughput) {
	c := cell{system, pairs}
	r.throughputs[c] = append(r.throughputs[c], t)
}

func (r *report) addLatency(system string, l latency) {
	r.latencies[system] = append(r.latencies[system], l)
}

// processNames are the columns of processor time.
var processNames = []string{"agent 1", "agent 2", "redis", "relay", "clients"}

func (r *report) write(w io.Writer, machine []string) error {
	o := r.options
	b := &strings.Builder{}
	for _, line := range machine {
		fmt.Fprintln(b, "-", line)
	}
	fmt.Fprintf(b, "- %d rounds, the systems taking turns in each; medians, and the range of the rounds in brackets\n\n", o.rounds)

	fmt.Fprintf(b, "Throughput: %d messages of %d B of text, %d in flight, all delivered once, in order and acknowledged (the relay acknowledges nothing)\n\n", o.messages, o.size, o.window)
	fmt.Fprintln(b, "| pairs | system | messages/s | × relay | CPU µs a message: "+strings.Join(processNames, " | ")+" | all |")
	fmt.Fprintln(b, "|---:|---|---:|---:|"+strings.Repeat("---:|", len(processNames)+1))
	for _, pairs := range o.pairs {
		relay := r.throughputs[cell{relayName, pairs}]
		for _, s := range r.options.systems {
			r.throughputRow(b, pairs, s, r.throughputs[cell{s.name, pairs}], relay)
		}
	}
	if len(r.latencies) > 0 {
		r.latencyTable(b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *report) throughputRow(b *strings.Builder, pairs int, s system, all, relay []throughput) {
	rates, ratios := figures{}, figures{}
	cpu := map[string]figures{}
	for i, t := range all {
		rates = append(rates, t.rate)
		if len(relay) > i {
			ratios = append(ratios, t.rate/relay[i].rate)
		}
		total := 0.0
		for name, v := range t.cpu {
			cpu[name] = append(cpu[name], v)
			total += v
		}
		cpu["all"] = append(cpu["all"], total)
	}
	fmt.Fprintf(b, "| %d | %s | %s | %s |", pairs, s.name, rates.format("%.0f"), ratios.format("%.2f"))
	for _, name := range append(slices.Clone(processNames), "all") {
		if len(cpu[name]) == 0 {
			b.WriteString(" |")
			continue
		}
		fmt.Fprintf(b, " %.1f |", cpu[name].median())
	}
	b.WriteString("\n")
}

func (r *report) latencyTable(b *strings.Builder) {
	fmt.Fprintf(b, "\nLatency in µs from Send to the recipient, one pair, %d messages: with one in flight, and at %d messages/s\n\n", r.options.probes, r.options.rate)
	fmt.Fprintln(b, "| system | one in flight: messages/s | p50 | p99 | Ack p50 | fixed rate: p50 | p99 |")
	fmt.Fprintln(b, "|---|---:|---:|---:|---:|---:|---:|")
	for _, s := range r.options.systems {
		var rate, p50, p99, ack, paced50, paced99 figures
		for _, l := range r.latencies[s.name] {
			rate = append(rate, l.closedRate)
			p50, p99 = append(p50, quantile(l.closed, 0.5)), append(p99, quantile(l.closed, 0.99))
			paced50, paced99 = append(paced50, quantile(l.paced, 0.5)), append(paced99, quantile(l.paced, 0.99))
			if len(l.acked) > 0 {
				ack = append(ack, quantile(l.acked, 0.5))
			}
		}
		fmt.Fprintf(b, "| %s |", s.name)
		for _, f := range []figures{rate, p50, p99, ack, paced50, paced99} {
			fmt.Fprintf(b, " %s |", f.format("%.0f"))
		}
		b.WriteString("\n")
	}
}

// figures are one value of each round.
type figures []float64

func (f figures) median() float64 {
	sorted := slices.Sorted(slices.Values(f))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// format gives the median and, of several, the range.
func (f figures) format(verb string) string {
	switch len(f) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(verb, f[0])
	}
	return fmt.Sprintf(verb+" ("+verb+"–"+verb+")", f.median(), slices.Min(f), slices.Max(f))
}

// quantile in microseconds.
func quantile(d []time.Duration, q float64) float64 {
	sorted := slices.Sorted(slices.Values(d))
	return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Nanoseconds()) / 1000
}
