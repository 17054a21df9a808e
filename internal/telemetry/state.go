package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State takes what an agent's state says at the time of a scrape.
type State struct{ to chan<- prometheus.Metric }

func (s *State) tell(name string, value float64, labels ...string) {
	d := find(name)
	kind := prometheus.GaugeValue
	if d.Kind == Counter {
		kind = prometheus.CounterValue
	}
	m, err := prometheus.NewConstMetric(prometheus.NewDesc(d.Name, d.Help, d.Labels, nil), kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(prometheus.NewDesc(d.Name, d.Help, d.Labels, nil), err)
	}
	s.to <- m
}

// Connections tells how many clients are connected over a transport.
func (s *State) Connections(transport string, n int) { s.tell(connections, float64(n), transport) }

// Sessions tells how many sessions are in use.
func (s *State) Sessions(n int) { s.tell(sessions, float64(n)) }

// Checks tells what the session check did: with verdicts from the cache, with waiting, with nothing to check.
func (s *State) Checks(cached, waited, none uint64) {
	s.tell(sessionChecks, float64(cached), "cached")
	s.tell(sessionChecks, float64(waited), "waited")
	s.tell(sessionChecks, float64(none), "none")
}

// Lookups tells how often it asked Redis, in vain or not, and about how many sessions.
func (s *State) Lookups(done, failed, keys uint64) {
	s.tell(sessionLookups, float64(done), "done")
	s.tell(sessionLookups, float64(failed), "failed")
	s.tell(sessionKeys, float64(keys))
}

// Dropped tells what a full queue has cost.
func (s *State) Dropped(queue string, n uint64) { s.tell(dropped, float64(n), queue) }

// Waiting tells how much waits in a queue of the process.
func (s *State) Waiting(queue string, n int) { s.tell(waiting, float64(n), queue) }

// Router tells how often something happened in the router.
func (s *State) Router(event string, n uint64) { s.tell(routerEvents, float64(n), event) }

// ZeroMQ tells what the ROUTER has counted.
func (s *State) ZeroMQ(accepted, refused, in, out, tooLarge uint64) {
	s.tell(zeromqConnections, float64(accepted), "accepted")
	s.tell(zeromqConnections, float64(refused), "refused")
	s.tell(zeromqMessages, float64(in), "in")
	s.tell(zeromqMessages, float64(out), "out")
	s.tell(zeromqMessages, float64(tooLarge), "too_large")
}

// Queue tells how many jobs of a queue are in a state.
func (s *State) Queue(queue, state string, n int64) { s.tell(queueJobs, float64(n), queue, state) }

// Oldest tells the age of a queue's oldest job.
func (s *State) Oldest(queue string, age time.Duration) { s.tell(queueOldest, age.Seconds(), queue) }

// Redis tells whether Redis has answered.
func (s *State) Redis(up bool) {
	value := 0.0
	if up {
		value = 1
	}
	s.tell(redisUp, value)
}

// collector asks for the state at each scrape.
type collector struct {
	state func(context.Context, *State)
}

// Describe says nothing, which lets a collector give what it likes; Table says what that is.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect has scrapeWithin: Prometheus hands on no context.
func (c collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	c.state(ctx, &State{to})
}
