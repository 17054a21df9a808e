package telemetry

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// other is the type of messages whose type the program has not named.
const other = "other"

// scrapeWithin is the time that an answer to Prometheus may take.
const scrapeWithin = 3 * time.Second

// Metrics counts for one agent. It is safe for concurrent use, and an http.Handler that answers scrapes.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	types      atomic.Pointer[map[string]*series] // replaced, never changed: counting takes no lock
	naming     sync.Mutex                         // one replacement at a time
	in, out    *prometheus.CounterVec
	closed     *prometheus.CounterVec
	errors     *prometheus.CounterVec
	handled    *prometheus.HistogramVec
	operations *prometheus.HistogramVec
	jobs       *prometheus.CounterVec
	jobTimes   *prometheus.HistogramVec
}

// series are those of one type.
type series struct {
	name        string
	in, out     prometheus.Counter
	client, job prometheus.Observer // done, the usual outcome
}

// maxTypes bounds the types that have series of their own.
const maxTypes = 1000

// NewMetrics makes metrics for messages of the given types. state tells what can be read from the agent; it is
// called for each scrape, and must return when its ctx ends.
func NewMetrics(types []string, state func(ctx context.Context, s *State)) *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		in:         counters(messagesIn),
		out:        counters(messagesOut),
		closed:     counters(closed),
		errors:     counters(errorsOut),
		handled:    histograms(handlerSeconds),
		operations: histograms(operationSeconds),
		jobs:       counters(jobEvents),
		jobTimes:   histograms(jobSeconds),
	}
	m.types.Store(&map[string]*series{})
	for _, typ := range append([]string{other}, types...) {
		m.Name(typ)
	}
	m.registry.MustRegister(m.in, m.out, m.closed, m.errors, m.handled, m.operations, m.jobs, m.jobTimes,
		collector{state}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 2, Timeout: 2 * scrapeWithin,
	})
	return m
}

func counters(name string) *prometheus.CounterVec {
	d := find(name)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
}

// histograms have buckets from a tenth of a millisecond, which a handler takes, to ten seconds, which a queue
// may make a job wait.
func histograms(name string) *prometheus.HistogramVec {
	d := find(name)
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: d.Name, Help: d.Help,
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, d.Labels)
}

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// Name gives a type series of its own, for what turns out to be handled somewhere in the mesh.
func (m *Metrics) Name(typ string) {
	if types := *m.types.Load(); types[typ] != nil || len(types) >= maxTypes {
		return
	}
	m.naming.Lock()
	defer m.naming.Unlock()
	types := maps.Clone(*m.types.Load())
	types[typ] = &series{
		name: typ, in: m.in.WithLabelValues(typ), out: m.out.WithLabelValues(typ),
		client: m.handled.WithLabelValues(Client, typ, "done"), job: m.handled.WithLabelValues(Job, typ, "done"),
	}
	m.types.Store(&types)
}

// of gives the series of a type.
func (m *Metrics) of(typ string) *series {
	types := *m.types.Load()
	if s := types[typ]; s != nil {
		return s
	}
	return types[other]
}

// In counts a decoded envelope.
func (m *Metrics) In(typ string) { m.of(typ).in.Inc() }

// envelopeStart is how every envelope of the mesh begins.
const envelopeStart = `{"type":"`

// Out counts an envelope for a client, by the type that it says.
func (m *Metrics) Out(envelope []byte) {
	rest, _ := bytes.CutPrefix(envelope, []byte(envelopeStart))
	types := *m.types.Load()
	s := types[string(rest[:max(0, bytes.IndexByte(rest, '"'))])] // does not allocate
	if s == nil {
		s = types[other]
	}
	s.out.Inc()
}

// Error counts an error that a client was answered with.
func (m *Metrics) Error(code string) { m.errors.WithLabelValues(code).Inc() }

// Closed counts the end of a connection.
func (m *Metrics) Closed(transport, code string) { m.closed.WithLabelValues(transport, code).Inc() }

// Operation tells how long a request that waits for Redis has taken.
func (m *Metrics) Operation(typ string, took time.Duration) {
	m.operations.WithLabelValues(typ).Observe(took.Seconds())
}

// The sides of Redis.
const (
	Client = "client" // messages of clients
	Job    = "job"    // the jobs made from them
)

// Side is the Meter of the middleware for one side of Redis.
type Side struct {
	m    *Metrics
	side string
}

// Side gives the Meter of Client or Job.
func (m *Metrics) Side(side string) Side { return Side{m, side} }

// Handled counts a message whose work has ended.
func (s Side) Handled(typ, outcome string, took time.Duration) {
	of := s.m.of(typ)
	o := of.client
	if s.side == Job {
		o = of.job
	}
	if outcome != "done" {
		o = s.m.handled.WithLabelValues(s.side, of.name, outcome)
	}
	o.Observe(took.Seconds())
}

// Jobs is the Metrics of the broker.
type Jobs struct{ m *Metrics }

// Jobs gives what the broker counts with.
func (m *Metrics) Jobs() Jobs { return Jobs{m} }

// Count adds to the count of an event.
func (j Jobs) Count(event, queue string, n int) {
	if n > 0 {
		j.m.jobs.WithLabelValues(mesh(queue), event).Add(float64(n))
	}
}

// Time tells how long a stage of a job has taken.
func (j Jobs) Time(stage, queue string, took time.Duration) {
	j.m.jobTimes.WithLabelValues(mesh(queue), stage).Observe(took.Seconds())
}

// mesh names the inboxes and broadcasts, which are no queue.
func mesh(queue string) string {
	if queue == "" {
		return "mesh"
	}
	return queue
}
