package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// measurement is one case and what has been measured of it.
type measurement struct {
	group, title string
	target       float64 // of ours, × libzmq; 0: none
	latency      bool    // figures are round trips
	alone        int     // 1 + the column whose CPU is compared; 0: all of them
	columns      []string
	who          []contender
	run          func(context.Context, contender) (figure, error)
	figures      map[string][]figure
}

func (m *measurement) name() string { return m.group + ": " + m.title }

func (m *measurement) add(who string, f figure) {
	if m.figures == nil {
		m.figures = map[string][]figure{}
	}
	m.figures[who] = append(m.figures[who], f)
}

// cost is the CPU that is compared.
func (m *measurement) cost(f figure) (sum float64) {
	if m.alone > 0 {
		return f.cpu[m.alone-1]
	}
	for _, c := range f.cpu {
		sum += c
	}
	return sum
}

// figure is one measurement.
type figure struct {
	rate     float64   // messages per second
	cpu      []float64 // microseconds per message, by column
	p50, p99 float64   // microseconds
	void     string
}

func (f figure) String() string {
	switch {
	case f.void != "":
		return "VOID: " + f.void
	case f.p50 > 0:
		return fmt.Sprintf("p50 %.0f µs, p99 %.0f µs, CPU %.1f µs", f.p50, f.p99, f.cpu)
	}
	return fmt.Sprintf("%.0f messages/s, CPU %.2f µs", f.rate, f.cpu)
}

func (b *bed) cases() []*measurement {
	everybody := b.which(ours, oursGOGC, oursSocket, libzmq, pebbe, pyzmq, stockName)
	var all []*measurement
	sizes := []int{64, 256, 4096}
	few := sizes
	if b.quick {
		few = []int{64, 4096}
	}
	ends := []string{"sender", "receiver"}
	for _, way := range []struct{ name, from, to string }{{"DEALER to ROUTER", "dealer", "router"}, {"ROUTER to DEALER", "router", "dealer"}} {
		for _, size := range few {
			m := &measurement{group: way.name, title: fmt.Sprintf("%d B", size), columns: ends, who: everybody}
			if size == 64 {
				m.target = 1.2
			}
			m.run = func(ctx context.Context, c contender) (figure, error) {
				return b.oneWay(ctx, c, way.from, way.to, arg("size", size), arg("frames", 1))
			}
			all = append(all, m)
		}
		if way.from == "router" {
			continue
		}
		all = append(all, &measurement{
			group: way.name, title: "3 frames, 16+16+256 B", target: 1.5, columns: ends, who: everybody,
			run: func(ctx context.Context, c contender) (figure, error) {
				return b.oneWay(ctx, c, "dealer", "router", arg("size", 256), arg("frames", 3))
			},
		})
	}
	all = append(all, &measurement{
		group: "round trip", title: "64 B", target: 0.85, latency: true, columns: []string{"asking", "echo"}, who: everybody,
		run: func(ctx context.Context, c contender) (figure, error) { return b.roundTrip(ctx, c, 64) },
	})
	for _, dealers := range []int{20, 1000, 3000} {
		if b.quick && dealers == 20 {
			continue
		}
		m := &measurement{group: "echo", title: fmt.Sprintf("%d dealers, 256 B, 8 each", dealers), columns: []string{"server"}, who: everybody}
		if dealers >= 1000 {
			m.target = 2
		}
		m.run = func(ctx context.Context, c contender) (figure, error) { return b.echo(ctx, c, dealers) }
		all = append(all, m)
	}
	for _, size := range sizes {
		all = append(all, &measurement{
			group: "broker", title: fmt.Sprintf("%d B", size), target: 1.2, columns: []string{"publisher", "broker", "subscriber"}, alone: 2,
			who: b.which(ours, oursGOGC, libzmq, stockName),
			run: func(ctx context.Context, c contender) (figure, error) { return b.broker(ctx, c, size) },
		})
	}
	for _, size := range []int{64, 4096} {
		m := &measurement{group: "CURVE, DEALER to ROUTER", title: fmt.Sprintf("%d B", size), columns: ends, who: b.which(ours, oursSocket, libzmq, pebbe)}
		if size == 64 {
			m.target = 0.8
		}
		m.run = func(ctx context.Context, c contender) (figure, error) {
			return b.oneWay(ctx, c, "dealer", "router", arg("size", size), arg("frames", 1), "curve="+b.keys)
		}
		all = append(all, m)
	}
	return all
}

func arg(name string, value int) string { return fmt.Sprintf("%s=%d", name, value) }

// oneWay has a ROUTER and a DEALER, one of which sends.
func (b *bed) oneWay(ctx context.Context, c contender, from, to string, args ...string) (figure, error) {
	args = append(args, arg("ms", int(b.during.Milliseconds())))
	role := map[string]string{from: "send", to: "receive"}
	router, err := b.begin(ctx, c, role["router"], nil, append(args, "type=router")...)
	if err != nil {
		return figure{}, err
	}
	defer router.end()
	endpoint, err := router.expect("endpoint")
	if err != nil {
		return figure{}, err
	}
	dealer, err := b.begin(ctx, c, role["dealer"], nil, append(args, "type=dealer", "endpoint="+endpoint)...)
	if err != nil {
		return figure{}, err
	}
	defer dealer.end()
	sender, receiver := dealer, router
	if from == "router" {
		sender, receiver = router, dealer
	}
	got, err := receiver.result()
	if err != nil {
		return figure{}, err
	}
	sent, err := sender.result()
	if err != nil {
		return figure{}, err
	}
	n := got["messages"]
	return figure{rate: n / got["ns"] * 1e9, cpu: []float64{sent["cpu"] / n, got["cpu"] / n}}, nil
}

func (b *bed) roundTrip(ctx context.Context, c contender, size int) (figure, error) {
	server, endpoint, err := b.serve(ctx, c, "echo")
	if err != nil {
		return figure{}, err
	}
	defer server.end()
	n := int(b.during / (100 * time.Microsecond))
	used := server.cpu()
	asker, err := b.begin(ctx, c, "ask", nil, "endpoint="+endpoint, arg("size", size), arg("n", n))
	if err != nil {
		return figure{}, err
	}
	defer asker.end()
	got, err := asker.result()
	if err != nil {
		return figure{}, err
	}
	used = server.cpu() - used
	return figure{p50: got["p50"] / 1e3, p99: got["p99"] / 1e3, cpu: []float64{got["cpu"] / float64(n), used / (1.1 * float64(n))}}, nil
}

func (b *bed) serve(ctx context.Context, c contender, role string, args ...string) (*process, string, error) {
	p, err := b.begin(ctx, c, role, nil, args...)
	if err != nil {
		return nil, "", err
	}
	endpoint, err := p.expect("endpoint")
	if err != nil {
		p.end()
		return nil, "", err
	}
	return p, endpoint, nil
}

func (b *bed) echo(ctx context.Context, c contender, dealers int) (figure, error) {
	server, endpoint, err := b.serve(ctx, c, "echo")
	if err != nil {
		return figure{}, err
	}
	defer server.end()
	clients, err := b.begin(ctx, contender{command: []string{b.c}, short: "load"}, "load", nil,
		"endpoint="+endpoint, arg("dealers", dealers), arg("ms", int(2*b.during.Milliseconds())), arg("warm", int(b.during.Milliseconds())))
	if err != nil {
		return figure{}, err
	}
	defer clients.end()
	if _, err := clients.expect("measuring"); err != nil {
		return figure{}, err
	}
	used := server.cpu()
	got, err := clients.result()
	if err != nil {
		return figure{}, err
	}
	used = server.cpu() - used
	if _, err := clients.expect("all back"); err != nil {
		return figure{}, err
	}
	n := got["messages"]
	return figure{rate: n / got["ns"] * 1e9, cpu: []float64{used / n}}, nil
}

// broker has libzmq at both ends. What is on its way is far below every high-water mark, at which libzmq
// counts only every other time, so nobody drops anything.
func (b *bed) broker(ctx context.Context, c contender, size int) (figure, error) {
	window := min(8000, 4<<20/size)
	args := []string{arg("size", size), arg("window", window), arg("step", window/8), arg("ms", int(b.during.Milliseconds()))}
	const hwm = "hwm=100000"
	args = append(args, hwm)
	server, in, err := b.serve(ctx, c, "broker", hwm)
	if err != nil {
		return figure{}, err
	}
	defer server.end()
	out, err := server.expect("endpoint")
	if err != nil {
		return figure{}, err
	}
	used := server.cpu()
	credit, grant, err := os.Pipe()
	if err != nil {
		return figure{}, err
	}
	peer := contender{command: []string{b.c}, short: "libzmq"}
	sub, err := b.begin(ctx, peer, "sub", []*os.File{grant}, append(args, "endpoint="+out)...)
	grant.Close()
	if err != nil {
		return figure{}, err
	}
	defer sub.end()
	pub, err := b.begin(ctx, peer, "pub", []*os.File{credit}, append(args, "endpoint="+in)...)
	credit.Close()
	if err != nil {
		return figure{}, err
	}
	defer pub.end()
	got, err := sub.result()
	if err != nil {
		return figure{}, err
	}
	used = server.cpu() - used
	sent, err := pub.result()
	if err != nil {
		return figure{}, err
	}
	n := got["messages"]
	return figure{rate: n / got["ns"] * 1e9, cpu: []float64{sent["cpu"] / n, used / n, got["cpu"] / n}}, nil
}
