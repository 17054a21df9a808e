package agents_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/telemetry"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/middleware"
)

// metrics are what an agent tells Prometheus, by name and labels.
type metrics map[string]float64

var sample = regexp.MustCompile(`(?m)^([a-z_]+(?:\{[^}]*\})?) (\S+)$`)

func (r *running) metrics(t *testing.T) (metrics, string) {
	t.Helper()
	answer, err := http.Get(r.at.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", r.at.Metrics, answer.Status, err)
	}
	found := metrics{}
	for _, line := range sample.FindAllStringSubmatch(string(text), -1) {
		if found[line[1]], err = strconv.ParseFloat(line[2], 64); err != nil {
			t.Fatalf("%s: %v", line[0], err)
		}
	}
	return found, string(text)
}

// TestMetrics: what happens is counted where docs/operations.md says, and nothing of what clients say is told.
func TestMetrics(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Metrics = "127.0.0.1:0"
	cfg.Rate, cfg.Burst = 0.001, 8
	r := run(t, cfg, func(a *agents.Agent) {
		a.Handle("Move", func(context.Context, *message.Message) error { return nil })
	})
	ann := r.login(t, "ann")
	bob := r.connect(t, "bob", "a session nobody made")
	bob.direct("1", "ann", "x")
	<-bob.Done()
	ann.join("the room of ann")
	ann.direct("1", "ann", "for your eyes only")
	ann.saying("for your eyes only")
	ann.send(envelope{"type": "Move", "id": "2"})
	ann.ack("2")
	ann.send(envelope{"type": "what ann made up", "id": "3"})
	ann.refused("3", "UnknownType")
	for i := range 6 {
		ann.direct(fmt.Sprint("more ", i), "ann", "x")
	}
	ann.refused("more 5", "RateLimited")
	want := map[string]float64{
		`agentmesh_connections{transport="websocket"}`:                          1,
		`agentmesh_connections{transport="zeromq"}`:                             0,
		`agentmesh_connections_closed_total{code="4401",transport="websocket"}`: 1,
		`agentmesh_sessions`:                                                                 1,
		`agentmesh_messages_in_total{type="Login"}`:                                          1,
		`agentmesh_messages_in_total{type="DirectMessage"}`:                                  8,
		`agentmesh_messages_in_total{type="Move"}`:                                           1,
		`agentmesh_messages_in_total{type="other"}`:                                          1,
		`agentmesh_messages_out_total{type="Error"}`:                                         4,
		`agentmesh_errors_total{code="UnknownType"}`:                                         1,
		`agentmesh_errors_total{code="RateLimited"}`:                                         3,
		`agentmesh_handler_seconds_count{outcome="done",side="client",type="DirectMessage"}`: 4,
		`agentmesh_handler_seconds_count{outcome="done",side="job",type="Move"}`:             1,
		`agentmesh_handler_seconds_count{outcome="UnknownType",side="client",type="other"}`:  1,
		`agentmesh_operation_seconds_count{type="Login"}`:                                    1,
		`agentmesh_operation_seconds_count{type="JoinRoom"}`:                                 1,
		`agentmesh_session_lookups_total{outcome="failed"}`:                                  0,
		`agentmesh_jobs_total{event="done",queue="t.Move"}`:                                  1,
		`agentmesh_jobs_total{event="stored",queue="t.Move"}`:                                1,
		`agentmesh_job_seconds_count{queue="t.Move",stage="run"}`:                            1,
		`agentmesh_router_total{event="published"}`:                                          4,
		`agentmesh_dropped_total{queue="messages"}`:                                          0,
		`agentmesh_redis_up`:                                                                 1,
	}
	delete(want, `agentmesh_messages_out_total{type="Error"}`)
	var got metrics
	var text string
	eventually(t, "everything is counted", func() bool {
		got, text = r.metrics(t)
		for name, n := range want {
			if v, there := got[name]; !there || v != n {
				return false
			}
		}
		return true
	})
	if cached := got[`agentmesh_session_checks_total{verdict="cached"}`]; cached < 8 {
		t.Errorf("%v checks from the cache, want those of ann's messages", cached)
	}
	if _, there := got[`agentmesh_queue_jobs{queue="t.Move",state="waiting"}`]; !there {
		t.Error("the queue's depth is missing")
	}
	for _, secret := range []string{ann.token, "ann", "bob", "room of", "eyes only", "made up"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics tell %q", secret)
		}
	}
	known := map[string]bool{}
	for _, d := range telemetry.Table {
		known[d.Name] = true
	}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (agentmesh_\S+)`).FindAllStringSubmatch(text, -1) {
		if !known[found[1]] {
			t.Errorf("%s is not in the table", found[1])
		}
	}
}

// TestMetricsWithoutRedis: they are told also while the broker is gone, and say so.
func TestMetricsWithoutRedis(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	cfg := config()
	cfg.Redis, cfg.Metrics = server.URL, "127.0.0.1:0"
	r := run(t, cfg, func(a *agents.Agent) {
		a.Handle("Move", func(context.Context, *message.Message) error { return nil })
	})
	r.login(t, "ann")
	server.Stop()
	eventually(t, "the metrics say that Redis is gone", func() bool {
		got, _ := r.metrics(t)
		return got["agentmesh_redis_up"] == 0 && got[`agentmesh_connections{transport="websocket"}`] == 1
	})
	server.Restart()
	eventually(t, "and that it is back", func() bool {
		got, _ := r.metrics(t)
		return got["agentmesh_redis_up"] == 1
	})
}

// collected are the spans that a collector got.
type collected struct {
	mu    sync.Mutex
	spans []*otlp.Span
}

func (c *collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err = cmp.Or(err, proto.Unmarshal(body, &in)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range in.GetResourceSpans() {
		for _, scope := range from.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

func (c *collected) named(t *testing.T, name string) *otlp.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, s := range c.spans {
		if s.GetName() == name {
			return s
		}
		names = append(names, s.GetName())
	}
	t.Fatalf("no span %q among %q", name, names)
	return nil
}

// TestTracing: a client's message and the handler of its job, on another agent, are one trace; what the handler
// logs names it.
func TestTracing(t *testing.T) {
	t.Parallel()
	var got collected
	server := httptest.NewServer(&got)
	defer server.Close()
	broker := testredis.Start(t)
	cfg := config()
	cfg.Redis, cfg.OTLP = broker.URL, server.URL
	logged := make(chan string, 1)
	worker := cfg
	worker.Name, worker.HTTP, worker.ZeroMQ = "worker", "", nil
	b := run(t, worker, func(a *agents.Agent) {
		a.Handle("Move", func(ctx context.Context, _ *message.Message) error {
			select {
			case logged <- middleware.Trace(ctx):
				return errors.New("the board is upside down") // and tried again
			default:
				return nil
			}
		})
	})
	a := run(t, cfg, nil)
	ann := a.login(t, "ann")
	eventually(t, "the worker is known", func() bool {
		ann.send(envelope{"type": "Move", "id": "move"})
		return ann.answer("move").str("type") == "Ack"
	})
	ann.direct("1", "ann", "x")
	ann.ack("1")
	trace := <-logged
	if err := errors.Join(a.stop(), b.stop()); err != nil { // sends what is left
		t.Fatal(err)
	}
	handled := got.named(t, "handle Move")
	var received *otlp.Span
	for _, s := range got.spans {
		if s.GetName() == "receive Move" && string(s.GetSpanId()) == string(handled.GetParentSpanId()) {
			received = s
		}
	}
	switch {
	case received == nil:
		t.Fatalf("the handler's span is not below that of the message: %v", got.spans)
	case string(received.GetTraceId()) != string(handled.GetTraceId()) || fmt.Sprintf("%x", handled.GetTraceId()) != trace:
		t.Errorf("traces %x and %x, in the handler's context %s", received.GetTraceId(), handled.GetTraceId(), trace)
	case received.GetKind() != otlp.Span_SPAN_KIND_SERVER || handled.GetKind() != otlp.Span_SPAN_KIND_CONSUMER:
		t.Errorf("kinds %v and %v", received.GetKind(), handled.GetKind())
	case handled.GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR:
		t.Errorf("the first try failed, its span says %v", handled.GetStatus())
	}
	if s := got.named(t, "receive DirectMessage"); len(s.GetParentSpanId()) > 0 {
		t.Error("a client's message is below another span")
	}
	for _, s := range got.spans {
		for _, text := range []string{"ann", "upside down"} {
			if strings.Contains(s.String(), text) {
				t.Errorf("a span tells %q: %v", text, s)
			}
		}
	}
}

// TestTracingWithoutCollector: an agent serves and stops in time though nobody takes its traces, and says so.
func TestTracingWithoutCollector(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	cfg := config()
	cfg.OTLP = server.URL
	r := run(t, cfg, nil)
	ann := r.login(t, "ann")
	ann.direct("1", "ann", "x")
	ann.ack("1")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if log := r.logs.String(); !strings.Contains(log, "traces") {
		t.Errorf("nothing is said of the traces that were lost:\n%s", log)
	}
}

func TestWatchingConfig(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]agents.Config{"Metrics": {Metrics: "8080"}, "OTLP": {OTLP: "localhost"}, "ConnRate": {ConnRate: -1}, "ConnBurst": {ConnBurst: -1}} {
		if _, err := agents.New(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

// TestConnRate: a connection that sends too much is told before its session is looked up, and then closed; other
// connections of the same user are not concerned, and a message knows its connection.
func TestConnRate(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.ConnRate, cfg.ConnBurst, cfg.Strikes = 0.001, 3, 3
	r := run(t, cfg, nil)
	conns := make(chan string, 100)
	r.Messages().Subscribe(t.Context(), func(m *message.Message) { conns <- m.Conn }, nil, nil)
	ann := r.login(t, "ann") // one message
	other := r.connect(t, "ann", ann.token)
	for _, c := range []*client{ann, other} {
		c.direct("1", "ann", "x")
		c.ack("1")
	}
	if a, b := <-conns, <-conns; a == "" || b == "" || a == b {
		t.Errorf("two connections are called %q and %q", a, b)
	}
	ann.direct("2", "ann", "x")
	ann.ack("2")
	ann.direct("3", "ann", "x")
	if e := ann.refused("3", "RateLimited"); e.num("retry_after_ms") <= 0 {
		t.Errorf("got %v, want to be told when to send again", e)
	}
	ann.send(envelope{"type": "Ping"})
	ann.next("Pong", func(e envelope) bool { return e.str("type") == "Pong" })
	nobody := r.connect(t, "nobody", "a session that nobody made")
	ann.direct("4", "ann", "x")
	ann.direct("5", "ann", "x") // the third refusal
	<-ann.Done()
	if ann.CloseCode() != 4429 {
		t.Errorf("closed with %d, want 4429", ann.CloseCode())
	}
	nobody.direct("1", "ann", "x")
	nobody.next("Logout", func(e envelope) bool { return e.str("type") == "Logout" })
	other.direct("6", "ann", "x")
	other.ack("6")
}
