package message_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

type vector struct {
	Name, Expect, Field, Note string
	Input                     []byte `json:"input_base64"`
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	f, err := os.Open("testdata/envelopes.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var list []vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			tb.Fatal(err)
		}
		list = append(list, v)
	}
	if err := lines.Err(); err != nil || len(list) < 70 {
		tb.Fatalf("read %d vectors, %v", len(list), err)
	}
	return list
}

func TestVectors(t *testing.T) {
	t.Parallel()
	mux := message.NewMux()
	for _, typ := range []string{message.DirectMessage, message.ChatRoomMessage, message.GlobalMessage, message.GameAction} {
		mux.Register(typ, message.HandlerFunc(nil))
	}
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			before := bytes.Clone(v.Input)
			m, _, err := message.Decode(v.Input, 0)
			if err == nil && !message.IsSystem(m.Type) {
				if _, known := mux.Lookup(m.Type); !known {
					err = mux.Handle(t.Context(), m)
				}
			}
			got, field := "ok", ""
			var e *message.Error
			if errors.As(err, &e) {
				got, field = string(e.Code), e.Field
			} else if err != nil {
				t.Fatalf("not an *Error: %v", err)
			}
			if got != v.Expect || (v.Field != "" && field != v.Field) {
				t.Errorf("got %s %q (%v), want %s %q", got, field, err, v.Expect, v.Field)
			}
			if !bytes.Equal(before, v.Input) {
				t.Error("Decode changed its input")
			}
		})
	}
}

func TestDecodeKeepsAndSplits(t *testing.T) {
	t.Parallel()
	in := `{"z":1e400, "type":"GameAction","game":"g","from":{"type":"User","id":"ben","session":"s3cr3t","admin":true},` +
		`"payload" : {"b":1.50,"a":[ 1, 2],"a":"\u00e9\/"} ,"id":"c-1","time":"x","seq":9,"color":{"a":[]}}`
	m, credential, err := message.Decode([]byte(in), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(m.Payload), `{"b":1.50,"a":[ 1, 2],"a":"\u00e9\/"}`; got != want {
		t.Errorf("payload: got %s, want %s", got, want)
	}
	if got, want := string(m.Extra), `"z":1e400,"color":{"a":[]}`; got != want {
		t.Errorf("extra: got %s, want %s", got, want)
	}
	if credential.Reveal() != "s3cr3t" {
		t.Errorf("session: got %q", credential.Reveal())
	}
	out := &bytes.Buffer{}
	log := slog.New(slog.NewJSONHandler(out, nil))
	log.Info("all", "m", m, "c", credential)
	text, _ := json.Marshal(struct{ C message.Credential }{credential})
	fmt.Fprintf(out, "%v %+v %#v %s %s %s", credential, credential, credential, text, m.AppendJSON(nil), m.AppendBinary(nil))
	if strings.Contains(out.String(), "s3cr3t") {
		t.Errorf("the session shows: %s", out)
	}
	m.Time = time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	m.Seq, m.Epoch = 7, "e"
	want := `{"type":"GameAction","id":"c-1","from":{"type":"User","id":"ben"},"game":"g","payload":{"b":1.50,"a":[ 1, 2],"a":"\u00e9\/"},` +
		`"z":1e400,"color":{"a":[]},"time":"2026-01-02T03:04:05.006Z","seq":7,"epoch":"e"}`
	if got := string(m.AppendJSON(nil)); got != want {
		t.Errorf("encoded:\ngot  %s\nwant %s", got, want)
	}
}

func TestDecodeDepth(t *testing.T) {
	t.Parallel()
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		in string
		ok bool
	}{
		{`{"type":"Ping","x":` + nest(63) + `}`, true},
		{`{"type":"Ping","x":` + nest(64) + `}`, false},
		{`{"type":"Ping","from":{"type":"User","id":"a","x":` + nest(62) + `}}`, true},
		{`{"type":"Ping","from":{"type":"User","id":"a","x":` + nest(63) + `}}`, false},
		{`{"type":"Ping","x":"` + nest(64) + `\""}`, true},
		{`{"type":"Ping","x":` + nest(20000) + `}`, false},
	} {
		if _, _, err := message.Decode([]byte(c.in), 0); (err == nil) != c.ok {
			t.Errorf("%.60s…: got %v, want ok=%v", c.in, err, c.ok)
		}
	}
}

func TestBinaryRoundTrip(t *testing.T) {
	t.Parallel()
	want := message.Message{
		Type: "T", ID: "i", From: message.Address{Type: message.User, ID: "u"}, To: message.Address{Type: message.ChatRoom, ID: "r"},
		Text: "text", Game: "g", Payload: []byte{0, 255}, Extra: []byte(`"a":1`), Time: time.UnixMilli(1234567890123).UTC(), Seq: 1 << 52, Epoch: "e",
	}
	wire := want.AppendBinary(nil)
	got, err := message.ParseBinary(wire)
	if err != nil || fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for n := range wire {
		if _, err := message.ParseBinary(wire[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(wire))
		}
	}
}

func TestPendingSettlesOnce(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, early := range map[string]bool{"settled before": true, "settled after": false} {
		p := &message.Pending{}
		calls := 0
		if early {
			p.Done(message.Result{Seq: 3}, boom)
		}
		message.Settle(p, func(r message.Result, err error) {
			calls++
			if r.Seq != 3 || !errors.Is(err, boom) {
				t.Errorf("%s: got %+v, %v", name, r, err)
			}
		})
		p.Done(message.Result{Seq: 3}, boom)
		p.Done(message.Result{Seq: 4}, nil)
		if calls != 1 {
			t.Errorf("%s: %d calls", name, calls)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		if len(v.Input) < 4096 {
			f.Add(v.Input)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		m, credential, err := message.Decode(in, 0)
		if !bytes.Equal(before, in) {
			t.Fatal("Decode changed its input")
		}
		if err != nil {
			var e *message.Error
			if !errors.As(err, &e) {
				t.Fatalf("not an *Error: %v", err)
			}
			message.AppendError(nil, "", e)
			return
		}
		if len(credential.Reveal()) > message.MaxSession {
			t.Fatal("the session is too long")
		}
		out := m.AppendJSON(nil)
		if !json.Valid(out) {
			t.Fatalf("encoded into invalid JSON: %s", out)
		}
		again, _, err := message.Decode(out, message.HardMessage)
		if err != nil {
			t.Fatalf("what was encoded is refused: %v\n%s", err, out)
		}
		if again.Text != m.Text || again.ID != m.ID || again.From != m.From || !bytes.Equal(again.Payload, m.Payload) || !bytes.Equal(again.Extra, m.Extra) {
			t.Fatalf("changed on the way:\n%+v\n%+v", m, again)
		}
		back, err := message.ParseBinary(m.AppendBinary(nil))
		if err != nil || back.Text != m.Text || !bytes.Equal(back.Payload, m.Payload) {
			t.Fatalf("binary: %+v, %v", back, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	in := []byte(`{"type":"ChatRoomMessage","id":"c-000001","from":{"type":"User","id":"benjamin","session":"QWERTYUIOPASDFGHJKLZXCVBNM1234567890"},"to":{"type":"ChatRoom","id":"room1"},"message":"Hello world, this is a chat"}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := message.Decode(in, 0); err != nil {
			b.Fatal(err)
		}
	}
}
