package websocket_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

// answer dials with header and gives the status of the refusal, or 101.
func (b *bed) answer(t testing.TB, header http.Header) int {
	t.Helper()
	ws, r, err := gorilla.DefaultDialer.Dial(b.url, header)
	if err == nil {
		ws.Close()
		return http.StatusSwitchingProtocols
	}
	if r == nil {
		t.Fatalf("dial: %v", err)
	}
	return r.StatusCode
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	const same = "http://HOST" // replaced by the address of the bridge
	list := []string{"https://chat.example", "http://Play.Example:8080", "https://port.example:443"}
	for _, tc := range []struct {
		name    string
		origins []string
		header  http.Header
		want    int
	}{
		{"missing", nil, nil, 101},
		{"same", nil, http.Header{"Origin": {same}}, 101},
		{"same behind a TLS proxy", nil, http.Header{"Origin": {"https://HOST"}}, 101},
		{"same in another case", nil, http.Header{"Origin": {"HTTP://HOST"}}, 101},
		{"null", nil, http.Header{"Origin": {"null"}}, 403},
		{"empty", nil, http.Header{"Origin": {""}}, 403},
		{"foreign", nil, http.Header{"Origin": {"https://evil.example"}}, 403},
		{"another port", nil, http.Header{"Origin": {"http://127.0.0.1:1"}}, 403},
		{"without the port", nil, http.Header{"Origin": {"http://127.0.0.1"}}, 403},
		{"same as user of a foreign one", nil, http.Header{"Origin": {"http://HOST@evil.example"}}, 403},
		{"prefix of a foreign one", nil, http.Header{"Origin": {"http://HOST.evil.example"}}, 403},
		{"with a path", nil, http.Header{"Origin": {same + "/"}}, 403},
		{"another scheme", nil, http.Header{"Origin": {"file://HOST"}}, 403},
		{"two", nil, http.Header{"Origin": {same, same}}, 403},
		{"not a URL", nil, http.Header{"Origin": {"http://[::1"}}, 403},
		{"listed", list, http.Header{"Origin": {"https://chat.example"}}, 101},
		{"listed with default port", list, http.Header{"Origin": {"https://chat.example:443"}}, 101},
		{"listed in another case", list, http.Header{"Origin": {"http://play.EXAMPLE:8080"}}, 101},
		{"listed with port, sent without", list, http.Header{"Origin": {"https://port.example"}}, 101},
		{"listed with another scheme", list, http.Header{"Origin": {"http://chat.example"}}, 403},
		{"subdomain of a listed one", list, http.Header{"Origin": {"https://a.chat.example"}}, 403},
		{"suffix of a listed one", list, http.Header{"Origin": {"https://evilchat.example"}}, 403},
		{"same with a list", list, http.Header{"Origin": {same}}, 403},
		{"missing with a list", list, nil, 101},
		{"null with a list", list, http.Header{"Origin": {"null"}}, 403},
		{"any", []string{"*"}, http.Header{"Origin": {"https://evil.example"}}, 101},
		{"any null", []string{"*"}, http.Header{"Origin": {"null"}}, 101},
		{"any with cookie", []string{"*"}, http.Header{"Origin": {"https://evil.example"}, "Cookie": {"agentmesh_session=good"}}, 403},
		{"any null with cookie", []string{"*"}, http.Header{"Origin": {"null"}, "Cookie": {"agentmesh_session=good"}}, 403},
		{"any with cookie and token", []string{"*"}, http.Header{"Origin": {"https://evil.example"}, "Cookie": {"agentmesh_session=good"}, "Authorization": {"Bearer good"}}, 101},
		{"any with cookie, same host", []string{"*"}, http.Header{"Origin": {same}, "Cookie": {"agentmesh_session=good"}}, 101},
		{"foreign with cookie", nil, http.Header{"Origin": {"https://evil.example"}, "Cookie": {"agentmesh_session=good"}}, 403},
		{"same with cookie", nil, http.Header{"Origin": {same}, "Cookie": {"agentmesh_session=good"}}, 101},
		{"listed with cookie", append(list, "*"), http.Header{"Origin": {"https://chat.example"}, "Cookie": {"agentmesh_session=good"}}, 101},
		{"foreign with token", nil, http.Header{"Origin": {"https://evil.example"}, "Authorization": {"Bearer good"}}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, websocket.Config{Origins: tc.origins, Authenticate: only("good")}, nil)
			header := tc.header.Clone()
			for i, o := range header["Origin"] {
				header["Origin"][i] = strings.ReplaceAll(o, "HOST", b.addr)
			}
			if got := b.answer(t, header); got != tc.want {
				t.Errorf("origins %v, header %v: got %d, want %d", tc.origins, header, got, tc.want)
			}
		})
	}
}

// only knows one session, whose user it is.
func only(session string) func(context.Context, string) (any, error) {
	return func(_ context.Context, s string) (any, error) {
		switch s {
		case session:
			return "user of " + s, nil
		case "outage":
			return nil, fmt.Errorf("no answer: %w", websocket.ErrUnavailable)
		}
		return nil, errors.New("unknown session")
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	item := func(s string) string { return "session." + base64.RawURLEncoding.EncodeToString([]byte(s)) }
	const odd = "gööd~\x7f?" // bytes that need both special characters of base64url
	for _, tc := range []struct {
		name   string
		header http.Header
		want   int
		id     any
		sub    string
	}{
		{"none", nil, 101, nil, ""},
		{"bearer", http.Header{"Authorization": {"Bearer good"}}, 101, "user of good", ""},
		{"bearer in another case", http.Header{"Authorization": {"bearer good"}}, 101, "user of good", ""},
		{"bearer wrong", http.Header{"Authorization": {"Bearer bad"}}, 401, nil, ""},
		{"bearer empty", http.Header{"Authorization": {"Bearer "}}, 401, nil, ""},
		{"bearer too long", http.Header{"Authorization": {"Bearer " + strings.Repeat("x", 257)}}, 401, nil, ""},
		{"basic", http.Header{"Authorization": {"Basic good"}}, 401, nil, ""},
		{"two authorizations", http.Header{"Authorization": {"Bearer good", "Bearer good"}}, 401, nil, ""},
		{"cookie", http.Header{"Cookie": {"a=b; agentmesh_session=good"}}, 101, "user of good", ""},
		{"cookie wrong", http.Header{"Cookie": {"agentmesh_session=bad"}}, 401, nil, ""},
		{"cookie twice", http.Header{"Cookie": {"agentmesh_session=good; agentmesh_session=bad"}}, 401, nil, ""},
		{"item", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1, " + item("good")}}, 101, "user of good", "agentmesh.v1"},
		{"item first", http.Header{"Sec-Websocket-Protocol": {item("good") + ",agentmesh.v1"}}, 101, "user of good", "agentmesh.v1"},
		{"item on a line of its own", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1", item("good")}}, 101, "user of good", "agentmesh.v1"},
		{"item alone", http.Header{"Sec-Websocket-Protocol": {item("good")}}, 101, "user of good", ""},
		{"item wrong", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1, " + item("bad")}}, 401, nil, ""},
		{"item not base64url", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1, session.Z29vZA=="}}, 401, nil, ""},
		{"item empty", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1, session."}}, 401, nil, ""},
		{"two items", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1, " + item("good") + ", " + item("bad")}}, 401, nil, ""},
		{"two items, the good one last", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1, " + item("bad") + ", " + item("good")}}, 401, nil, ""},
		{"item not UTF-8", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1, " + item("\xff\xfe")}}, 401, nil, ""},
		{"subprotocol only", http.Header{"Sec-Websocket-Protocol": {"agentmesh.v1"}}, 101, nil, "agentmesh.v1"},
		{"subprotocol among others", http.Header{"Sec-Websocket-Protocol": {"mqtt, agentmesh.v1"}}, 101, nil, "agentmesh.v1"},
		{"subprotocol unknown", http.Header{"Sec-Websocket-Protocol": {"mqtt"}}, 400, nil, ""},
		{"subprotocol in another case", http.Header{"Sec-Websocket-Protocol": {"AgentMesh.v1"}}, 400, nil, ""},
		{"bearer before cookie", http.Header{"Authorization": {"Bearer good"}, "Cookie": {"agentmesh_session=bad"}}, 101, "user of good", ""},
		{"bad bearer before good cookie", http.Header{"Authorization": {"Bearer bad"}, "Cookie": {"agentmesh_session=good"}}, 401, nil, ""},
		{"outage", http.Header{"Authorization": {"Bearer outage"}}, 503, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, websocket.Config{Authenticate: only("good")}, nil)
			ws, r, err := gorilla.DefaultDialer.Dial(b.url, tc.header)
			if r == nil || r.StatusCode != tc.want {
				t.Fatalf("got %v, %v, want %d", r, err, tc.want)
			}
			for _, sub := range r.Header.Values("Sec-Websocket-Protocol") {
				if strings.Contains(sub, "session") {
					t.Errorf("session echoed: %q", sub)
				}
			}
			if err != nil {
				return
			}
			defer ws.Close()
			conn := b.up(t)
			if conn.Identity() != tc.id || ws.Subprotocol() != tc.sub || conn.Subprotocol() != tc.sub {
				t.Errorf("got identity %v, subprotocol %q/%q, want %v, %q", conn.Identity(), ws.Subprotocol(), conn.Subprotocol(), tc.id, tc.sub)
			}
		})
	}
	t.Run("special characters", func(t *testing.T) {
		t.Parallel()
		b := start(t, websocket.Config{Authenticate: only(odd)}, nil)
		if got := b.answer(t, http.Header{"Sec-Websocket-Protocol": {item(odd)}}); got != 101 {
			t.Errorf("got %d, want 101", got)
		}
	})
}

// A session in the URL is not one, and nobody is asked about it.
func TestSessionInURL(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	b := start(t, websocket.Config{Authenticate: func(context.Context, string) (any, error) { asked.Add(1); return nil, nil }}, nil)
	ws, _, err := gorilla.DefaultDialer.Dial(b.url+"?session=good&access_token=good&agentmesh_session=good", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if b.up(t); asked.Load() != 0 {
		t.Error("Authenticate was asked about a session from the URL")
	}
}

// Nobody is authenticated for a page that may not connect.
func TestOriginComesBeforeSession(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	b := start(t, websocket.Config{Authenticate: func(context.Context, string) (any, error) { asked.Add(1); return nil, nil }}, nil)
	got := b.answer(t, http.Header{"Origin": {"https://evil.example"}, "Authorization": {"Bearer x"}})
	if got != 403 || asked.Load() != 0 {
		t.Errorf("got %d, asked %d times, want 403 and never", got, asked.Load())
	}
}

func TestHostileHandshakes(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	good := request(b.addr, "")
	for _, tc := range []struct{ name, request, want string }{
		{"plain GET", "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", " 426 "},
		{"POST", strings.Replace(good, "GET", "POST", 1), " 405 "},
		{"no Connection", strings.Replace(good, "Connection: Upgrade\r\n", "", 1), " 426 "},
		{"no Upgrade", strings.Replace(good, "Upgrade: websocket\r\n", "", 1), " 426 "},
		{"Upgrade to h2c", strings.Replace(good, "Upgrade: websocket", "Upgrade: h2c", 1), " 426 "},
		{"version 8", strings.Replace(good, "Version: 13", "Version: 8", 1), " 400 "},
		{"version 0", strings.Replace(good, "Version: 13", "Version: 0", 1), " 400 "},
		{"no version", strings.Replace(good, "Sec-WebSocket-Version: 13\r\n", "", 1), " 400 "},
		{"no key", strings.Replace(good, "Sec-WebSocket-Key: "+handshakeKey+"\r\n", "", 1), " 400 "},
		{"short key", strings.Replace(good, handshakeKey, "YWJj", 1), " 400 "},
		{"key not base64", strings.Replace(good, handshakeKey, "!!!!!!!!!!!!!!!!!!!!!!!!", 1), " 400 "},
		{"no host", strings.Replace(good, "Host: "+b.addr+"\r\n", "", 1), " 400 "},
		{"two hosts", strings.Replace(good, "Host:", "Host: a\r\nHost:", 1), " 400 "},
		{"huge header", strings.Replace(good, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n", 1), " 431 "},
		{"many headers", strings.Replace(good, "\r\n\r\n", "\r\n"+strings.Repeat("X: yyyyyyyyyyyyyyyy\r\n", 4000)+"\r\n", 1), " 431 "},
		{"header with NUL", strings.Replace(good, "Version: 13", "Version: 13\x00", 1), " 400 "},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", " 426 "},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", " 400 "},
		{"body in the handshake", strings.Replace(good, "\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello", 1), ""},
		{"compression is not negotiated", strings.Replace(good, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1), " 101 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := b.connect(t)
			go io.WriteString(c, tc.request)
			line, err := c.r.ReadString('\n')
			if tc.want == "" {
				if strings.Contains(line, " 101 ") {
					t.Errorf("got %q, want anything but 101", line)
				}
				return
			}
			if !strings.Contains(line, tc.want) {
				t.Fatalf("got %q, %v, want%s", line, err, tc.want)
			}
			if tc.want == " 101 " {
				for line != "\r\n" {
					if line, err = c.r.ReadString('\n'); err != nil || strings.Contains(line, "Extensions") {
						t.Fatalf("got %q, %v", line, err)
					}
				}
			}
		})
	}
	waitFor(t, "no connections", func() bool { return b.Conns() <= 1 })
}

// A frame sent before the 101 answer was read ends the handshake, and its place is free again.
func TestFrameBeforeAnswer(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{MaxConns: 1}, nil)
	c := b.connect(t)
	io.WriteString(c, request(b.addr, "")+frame(0x81, "early"))
	if line, err := c.r.ReadString('\n'); err == nil && strings.Contains(line, " 101 ") {
		t.Fatalf("got %q, want no upgrade", line)
	}
	waitFor(t, "the place", func() bool { return b.Conns() == 0 })
}

// Headers that never end are cut off.
func TestSlowloris(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	for _, part := range []string{"", "GET /ws HTTP/1.1\r\nHost: x\r\nX-", request(b.addr, "")[:60]} {
		c := b.connect(t)
		io.WriteString(c, part)
		if _, err := io.Copy(io.Discard, c.r); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%q: still open", part)
		}
	}
}

// What Authenticate panics about costs that handshake only, and not its place.
func TestAuthenticatePanics(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{Authenticate: func(context.Context, string) (any, error) { panic(http.ErrAbortHandler) }}, nil)
	if _, _, err := gorilla.DefaultDialer.Dial(b.url, http.Header{"Authorization": {"Bearer x"}}); err == nil {
		t.Error("got a connection")
	}
	waitFor(t, "the place", func() bool { return b.Conns() == 0 })
}

// A slow Authenticate ends with HandshakeTimeout, as an outage.
func TestAuthenticateTimesOut(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{HandshakeTimeout: 50 * time.Millisecond, Authenticate: func(ctx context.Context, _ string) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, nil)
	if got := b.answer(t, http.Header{"Authorization": {"Bearer x"}}); got != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", got)
	}
}

// Neither sessions nor messages come into the log.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var mu sync.Mutex
	h := slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug})
	b := start(t, websocket.Config{Authenticate: only("good"), Logger: slog.New(h)}, nil)
	const secret = "sesame-4711"
	b.answer(t, http.Header{"Authorization": {"Bearer " + secret}})
	b.answer(t, http.Header{"Cookie": {"agentmesh_session=" + secret}, "Origin": {"https://evil.example"}})
	b.answer(t, http.Header{"Sec-Websocket-Protocol": {"session." + base64.RawURLEncoding.EncodeToString([]byte(secret))}})
	c := b.handshake(t, "")
	io.WriteString(c, frame(0x81, secret)+frame(0x81, secret+"\xff"))
	c.closeCode()
	b.stop()
	mu.Lock()
	defer mu.Unlock()
	if s := log.String(); strings.Contains(s, secret) || strings.Contains(s, base64.RawURLEncoding.EncodeToString([]byte(secret))) || s == "" {
		t.Errorf("log: %s", s)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
