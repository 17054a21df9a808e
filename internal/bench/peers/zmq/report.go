package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// report prints a table for each group.
func report(w io.Writer, cases []*measurement) {
	group := ""
	for _, c := range cases {
		if c.group != group {
			group = c.group
			fmt.Fprintf(w, "\n### %s\n\n%s\n", group, c.header())
		}
		for _, who := range c.who {
			fmt.Fprintln(w, c.row(who.name))
		}
	}
	fmt.Fprintln(w)
	for _, c := range cases {
		if c.target == 0 {
			continue
		}
		if ratios := c.ratios(ours, c.rating); len(ratios) > 0 {
			verdict := "reached"
			if m := median(ratios); (m < c.target) != c.latency {
				verdict = "MISSED"
			}
			perCPU := c.ratios(ours, func(f figure) float64 { return 1 / c.cost(f) })
			fmt.Fprintf(w, "- %s: %s, to reach: %.2f: %s; per CPU %s\n", c.name(), span(ratios, "%.2f"), c.target, verdict, span(perCPU, "%.2f"))
		}
	}
}

func (m *measurement) header() string {
	figures := "messages/s"
	if m.latency {
		figures = "p50 µs | p99 µs"
	}
	head := fmt.Sprintf("| | | %s | × libzmq | CPU µs a message: %s | messages per CPU, × libzmq |", figures, strings.Join(m.columns, " | "))
	return head + "\n|---|---|" + strings.Repeat("---:|", strings.Count(head, "|")-3)
}

func (m *measurement) row(who string) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "| %s | %s |", m.title, who)
	var good []figure
	for _, f := range m.figures[who] {
		if f.void == "" {
			good = append(good, f)
		}
	}
	if len(good) == 0 {
		return b.String() + " void" + strings.Repeat(" |", strings.Count(m.header()[:strings.Index(m.header(), "\n")], "|")-3)
	}
	if m.latency {
		fmt.Fprintf(b, " %s | %s |", span(each(good, func(f figure) float64 { return f.p50 }), "%.0f"), span(each(good, func(f figure) float64 { return f.p99 }), "%.0f"))
	} else {
		fmt.Fprintf(b, " %s |", span(each(good, func(f figure) float64 { return f.rate }), "%.0f"))
	}
	fmt.Fprintf(b, " %s |", span(m.ratios(who, m.rating), "%.2f"))
	for i := range m.columns {
		fmt.Fprintf(b, " %.2f |", median(each(good, func(f figure) float64 { return f.cpu[i] })))
	}
	fmt.Fprintf(b, " %s |", span(m.ratios(who, func(f figure) float64 { return 1 / m.cost(f) }), "%.2f"))
	if void := len(m.figures[who]) - len(good); void > 0 {
		fmt.Fprintf(b, " %d rounds void", void)
	}
	return b.String()
}

// rating is the figure that counts.
func (m *measurement) rating(f figure) float64 {
	if m.latency {
		return f.p50
	}
	return f.rate
}

// ratios to libzmq of the same round.
func (m *measurement) ratios(who string, of func(figure) float64) (all []float64) {
	for i, f := range m.figures[who] {
		if i >= len(m.figures[libzmq]) {
			break
		}
		if base := m.figures[libzmq][i]; f.void == "" && base.void == "" {
			if r := of(f) / of(base); r > 0 && r < math.MaxFloat64 { // CPU of servers comes in hundredths of a second, or not at all
				all = append(all, r)
			}
		}
	}
	return all
}

func each(all []figure, f func(figure) float64) (values []float64) {
	for _, v := range all {
		values = append(values, f(v))
	}
	return values
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// span is the median, and the range of the rounds.
func span(v []float64, format string) string {
	if len(v) == 0 {
		return ""
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(v), slices.Min(v), slices.Max(v))
}
