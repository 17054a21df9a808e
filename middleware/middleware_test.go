package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/middleware"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var (
	errBroken = errors.New("broken")
	refusal   = &message.Error{Code: message.Forbidden, Message: "not yours"}
)

// handler is a Handler that returns err.
func handler(err error) message.Handler {
	return message.HandlerFunc(func(context.Context, *message.Message) error { return err })
}

func TestRecover(t *testing.T) {
	t.Parallel()
	var reported *middleware.Panic
	mw := middleware.Recover(func(_ context.Context, m *message.Message, p *middleware.Panic) {
		if m.Type != "Bang" {
			t.Errorf("report: got type %q", m.Type)
		}
		reported = p
	})
	err := mw(message.HandlerFunc(explode)).Handle(t.Context(), &message.Message{Type: "Bang"})
	var p *middleware.Panic
	if !errors.As(err, &p) || p != reported || p.Value != "boom" || !strings.Contains(string(p.Stack), "explode") {
		t.Errorf("got %v, reported %+v, want the panic with the place of it", err, reported)
	}
	if shown, ok := errors.AsType[*message.Error](err); ok {
		t.Errorf("a panic became %v, want Internal for the client", shown)
	}
	reported = nil
	pending := new(message.Pending)
	for _, want := range []error{nil, errBroken, refusal, pending} {
		if got := mw(handler(want)).Handle(t.Context(), &message.Message{}); got != want || reported != nil {
			t.Errorf("got %v, want %v untouched", got, want)
		}
	}
}

func explode(context.Context, *message.Message) error { panic("boom") }

func TestLog(t *testing.T) {
	t.Parallel()
	m := &message.Message{
		Type: "ChatRoomMessage", ID: "secret-id", From: message.Address{ID: "ann"}, Text: "secret-text",
		Payload: []byte("secret-payload"), Extra: []byte(`"x":"secret-extra"`),
	}
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"done":    {nil, []string{"level=INFO", "outcome=done", "type=ChatRoomMessage", "from=ann", "took=2s"}},
		"refused": {refusal, []string{"level=WARN", "outcome=Forbidden"}},
		"failed":  {errBroken, []string{"level=ERROR", "outcome=failed", "error=broken"}},
	} {
		for _, later := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				mw := middleware.Log(slog.New(slog.NewTextHandler(&out, nil)))
				ended, got := run(t, mw, m, c.err, later)
				if !ended || got != c.err {
					t.Errorf("%s, later %v: got %v, ended %v, want %v", name, later, got, ended, c.err)
				}
				for _, want := range c.want {
					if !strings.Contains(out.String(), want) {
						t.Errorf("%s, later %v: got %q, want %s in it", name, later, out.String(), want)
					}
				}
				if strings.Contains(out.String(), "secret") || strings.Count(out.String(), "\n") != 1 {
					t.Errorf("%s, later %v: got %q, want one line without content", name, later, out.String())
				}
			})
		}
	}
}

// run handles m by work that takes two seconds and ends with err, either within Handle or later. It returns
// the outcome.
func run(t *testing.T, mw message.Middleware, m *message.Message, err error, later bool) (ended bool, got error) {
	t.Helper()
	pending := new(message.Pending)
	returned := mw(message.HandlerFunc(func(context.Context, *message.Message) error {
		if later {
			return pending
		}
		time.Sleep(2 * time.Second)
		return err
	})).Handle(t.Context(), m)
	message.Settle(returned, func(r message.Result, e error) {
		got, ended = e, true
		if later && r.Seq != 7 {
			t.Errorf("result: got %+v, want seq 7", r)
		}
	})
	if later {
		if ended {
			t.Error("the outcome came before the work ended")
		}
		time.Sleep(2 * time.Second)
		pending.Done(message.Result{Seq: 7}, err)
	}
	return ended, got
}

func TestLogKeepsSettledPending(t *testing.T) {
	t.Parallel()
	pending := new(message.Pending)
	pending.Done(message.Result{Seq: 3}, nil)
	calls := 0
	message.Settle(middleware.Log(slog.New(slog.DiscardHandler))(handler(pending)).Handle(t.Context(), &message.Message{}),
		func(r message.Result, err error) {
			calls++
			if r.Seq != 3 || err != nil {
				t.Errorf("got %+v, %v, want seq 3", r, err)
			}
		})
	if calls != 1 {
		t.Errorf("the outcome came %d times, want once", calls)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		err := middleware.Timeout(time.Second)(message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
			<-ctx.Done()
			return ctx.Err()
		})).Handle(t.Context(), &message.Message{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("got %v after %v, want the deadline after 1s", err, time.Since(begin))
		}
	})
}

func TestTimeoutHoldsWhileWorkGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pending := new(message.Pending)
		var work context.Context
		returned := middleware.Timeout(time.Second)(message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
			work = ctx
			return pending
		})).Handle(t.Context(), &message.Message{})
		if work.Err() != nil {
			t.Fatal("the context ended with Handle, although the work goes on")
		}
		time.Sleep(2 * time.Second)
		if !errors.Is(work.Err(), context.DeadlineExceeded) {
			t.Errorf("got %v after 2s, want the deadline", work.Err())
		}
		pending.Done(message.Result{}, errBroken)
		message.Settle(returned, func(_ message.Result, err error) {
			if err != errBroken {
				t.Errorf("got %v, want %v", err, errBroken)
			}
		})
	})
}

func TestTimeoutEndsTheContextWithTheWork(t *testing.T) {
	t.Parallel()
	pending := new(message.Pending)
	for name, h := range map[string]func() error{
		"returned": func() error { return errBroken },
		"pending":  func() error { return pending },
		"panicked": func() error { panic("boom") },
	} {
		var work context.Context
		chain := message.Chain(middleware.Recover(func(context.Context, *message.Message, *middleware.Panic) {}), middleware.Timeout(time.Hour))
		_ = chain(message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
			work = ctx
			return h()
		})).Handle(t.Context(), &message.Message{})
		pending.Done(message.Result{}, nil)
		if !errors.Is(work.Err(), context.Canceled) {
			t.Errorf("%s: the context of ended work is %v, want canceled", name, work.Err())
		}
	}
}
