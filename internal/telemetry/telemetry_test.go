package telemetry_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/telemetry"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// scrape is what Prometheus would get.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// everything tells all that an agent can tell.
func everything(_ context.Context, s *telemetry.State) {
	s.Connections("zeromq", 3)
	s.Sessions(2)
	s.Checks(10, 2, 1)
	s.Lookups(2, 1, 30)
	s.Dropped("inbound", 4)
	s.Waiting("router", 5)
	s.Router("published", 6)
	s.ZeroMQ(1, 2, 3, 4, 5)
	s.Queue("t.Move", "dead", 1)
	s.Oldest("t.Move", 1500*time.Millisecond)
	s.Redis(true)
}

func use(m *telemetry.Metrics) {
	m.In("Move")
	m.In("made up by a client")
	m.Out([]byte(`{"type":"Ack","ref":"1"}`))
	m.Out([]byte(`{"type":"Move`))
	m.Out([]byte(`not one of ours`))
	m.Error("RateLimited")
	m.Closed("websocket", "4429")
	m.Operation("Login", 3*time.Millisecond)
	m.Side(telemetry.Client).Handled("Move", "done", time.Millisecond)
	m.Side(telemetry.Client).Handled("made up by a client", "UnknownType", time.Millisecond)
	m.Side(telemetry.Job).Handled("Move", "failed", time.Minute)
	m.Jobs().Count("done", "t.Move", 7)
	m.Jobs().Count("stored", "", 1)
	m.Jobs().Count("retried", "t.Move", 0) // no series for nothing
	m.Jobs().Time("run", "t.Move", time.Second)
}

// TestEveryMetricIsInTheTable, and every one of the table can be had.
func TestEveryMetricIsInTheTable(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics([]string{"Move", "Ack"}, everything)
	use(m)
	text := scrape(t, m)
	var exported, want []string
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (agentmesh_\S+) (\S+)`).FindAllStringSubmatch(text, -1) {
		exported = append(exported, found[1]+" "+found[2])
	}
	for _, d := range telemetry.Table {
		want = append(want, d.Name+" "+string(d.Kind))
	}
	slices.Sort(exported)
	slices.Sort(want)
	if !slices.Equal(exported, want) {
		t.Errorf("exported\n%s\nthe table has\n%s", strings.Join(exported, "\n"), strings.Join(want, "\n"))
	}
	for _, family := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total "} {
		if !strings.Contains(text, family) {
			t.Errorf("no %s", family)
		}
	}
}

// TestCounts: what is counted is what is read; what a client makes up counts as other.
func TestCounts(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics([]string{"Move", "Ack"}, everything)
	use(m)
	text := scrape(t, m)
	for _, line := range []string{
		`agentmesh_messages_in_total{type="Move"} 1`, `agentmesh_messages_in_total{type="other"} 1`,
		`agentmesh_messages_out_total{type="Ack"} 1`, `agentmesh_messages_out_total{type="other"} 2`,
		`agentmesh_handler_seconds_count{outcome="done",side="client",type="Move"} 1`,
		`agentmesh_handler_seconds_count{outcome="UnknownType",side="client",type="other"} 1`,
		`agentmesh_handler_seconds_count{outcome="failed",side="job",type="Move"} 1`,
		`agentmesh_jobs_total{event="done",queue="t.Move"} 7`, `agentmesh_jobs_total{event="stored",queue="mesh"} 1`,
		`agentmesh_session_checks_total{verdict="cached"} 10`, `agentmesh_queue_oldest_seconds{queue="t.Move"} 1.5`,
		`agentmesh_redis_up 1`, `agentmesh_operation_seconds_sum{type="Login"} 0.003`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	for _, word := range []string{"made up", `event="retried"`} {
		if strings.Contains(text, word) {
			t.Errorf("%q is there", word)
		}
	}
}

// TestCountingDoesNotAllocate: nothing of it is on the heap, whatever the type.
func TestCountingDoesNotAllocate(t *testing.T) {
	m := telemetry.NewMetrics([]string{"Move"}, everything)
	client, jobs := m.Side(telemetry.Client), m.Jobs()
	move, odd := []byte(`{"type":"Move"}`), []byte(`{"type":"what nobody handles"}`)
	if n := testing.AllocsPerRun(1000, func() {
		m.In("Move")
		m.In("what nobody handles")
		m.Out(move)
		m.Out(odd)
		client.Handled("Move", "done", time.Millisecond)
		jobs.Count("done", "t.Move", 1)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestScrapeDoesNotWaitForEver: a state that hangs gets a context that ends.
func TestScrapeDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics(nil, func(ctx context.Context, s *telemetry.State) {
		<-ctx.Done()
		s.Redis(false)
	})
	if text := scrape(t, m); !strings.Contains(text, "\nagentmesh_redis_up 0\n") {
		t.Error("what was known after the wait is not told")
	}
}

// TestTraceparent: a span can be continued by the text that names it; what names none changes nothing.
func TestTraceparent(t *testing.T) {
	t.Parallel()
	var posts []string
	done := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posts = append(posts, r.URL.Path+" "+string(body))
		close(done)
	}))
	defer collector.Close()
	tr, err := telemetry.NewTracing(t.Context(), telemetry.TracingConfig{URL: collector.URL, Agent: "a"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := tr.Start(t.Context(), telemetry.Server, "receive Move")
	parent := telemetry.Traceparent(ctx)
	if len(parent) != 55 || !strings.Contains(parent, telemetry.TraceID(ctx)) {
		t.Errorf("Traceparent %q, TraceID %q", parent, telemetry.TraceID(ctx))
	}
	elsewhere := telemetry.Continue(context.Background(), parent)
	below, endBelow := tr.Start(elsewhere, telemetry.Consumer, "handle Move", [2]string{"messaging.system", "agentmesh"})
	if telemetry.TraceID(below) != telemetry.TraceID(ctx) || telemetry.Traceparent(below) == parent {
		t.Errorf("continued as %s, want another span of trace %s", telemetry.Traceparent(below), telemetry.TraceID(ctx))
	}
	for _, none := range []string{"", "0d2e8mggab2lm0m9ka4c6q1cfo", "00-zz-zz-01"} {
		if id := telemetry.TraceID(telemetry.Continue(context.Background(), none)); id != "" {
			t.Errorf("%q gives the trace %s", none, id)
		}
	}
	endBelow("done", false)
	end("failed", true)
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
	if len(posts) != 1 || !strings.HasPrefix(posts[0], "/v1/traces ") || !strings.Contains(posts[0], "handle Move") {
		t.Errorf("the collector got %q", posts)
	}
}

func TestTracingConfig(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"127.0.0.1:4318", "grpc://secret@host:1", "http://", ":"} {
		_, err := telemetry.NewTracing(t.Context(), telemetry.TracingConfig{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// TestWanted: the environment asks for traces in the words of OpenTelemetry. It sets the environment, so nothing
// runs beside it.
func TestWanted(t *testing.T) {
	const endpoint, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	for _, c := range []struct {
		set  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{endpoint: "http://x"}, true},
		{map[string]string{traces: "http://x"}, true},
		{map[string]string{endpoint: "http://x", "OTEL_SDK_DISABLED": "TRUE"}, false},
		{map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "none"}, false},
	} {
		for _, name := range []string{endpoint, traces, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"} {
			t.Setenv(name, c.set[name])
		}
		if got := telemetry.Wanted(); got != c.want {
			t.Errorf("%v: got %v", c.set, got)
		}
	}
}

func BenchmarkCounting(b *testing.B) {
	m := telemetry.NewMetrics([]string{"Move", "Ack"}, everything)
	client, ack := m.Side(telemetry.Client), []byte(`{"type":"Ack","ref":"1"}`)
	b.ReportAllocs()
	for b.Loop() { // what a client's message and its Ack cost, without the clock
		m.In("Move")
		client.Handled("Move", "done", time.Millisecond)
		m.Out(ack)
	}
}
