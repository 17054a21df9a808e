package websocket_test

import (
	"io"
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

// FuzzFrames throws bytes at an upgraded connection. Whatever they are, what is published is UTF-8 within
// the limit, and the connection ends in time.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{
		frame(0x81, "hello"), frame(0x82, "\xff"), frame(0x01, "a") + frame(0x80, "b"), frame(0x89, "p"), frame(0x8a, "p"),
		frame(0x88, "\x03\xe8"), frame(0xc1, "x"), "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", "\x81\xfe\x00", "GET /",
	} {
		f.Add([]byte(s))
	}
	b := start(f, websocket.Config{MaxMessage: 64, MaxOverhead: 64}, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := b.handshake(t, "")
		c.Write(data)
		io.WriteString(c, "\x88\x82\x00\x00\x00\x00\x03\xe8") // a close frame, if it is read as one
		c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		for {
			if _, _, err := c.readFrame(); err != nil {
				break
			}
		}
		for e := range b.events {
			if e.Kind == websocket.Down {
				break
			}
		}
		for len(b.inbox) > 0 {
			if m := <-b.inbox; len(m.Body) > 64 || !utf8.Valid(m.Body) {
				t.Errorf("published %q", m.Body)
			}
		}
	})
}

// FuzzHandshake throws header values at the handshake. Whatever they are, Authenticate sees sessions of a
// possible length only, and nothing panics.
func FuzzHandshake(f *testing.F) {
	f.Add("Bearer good", "agentmesh.v1, session.Z29vZA", "agentmesh_session=good", "https://chat.example")
	f.Add("bearer", "session.", "agentmesh_session=", "null")
	f.Add("", ",,session.====,", "agentmesh_session=\"a\"; agentmesh_session=b", "http://[::1]:80")
	b := start(f, websocket.Config{Origins: []string{"*"}, Authenticate: only("good")}, nil)
	f.Fuzz(func(t *testing.T, authorization, protocol, cookie, origin string) {
		r := httptest.NewRequest("GET", "http://"+b.addr+"/ws", nil)
		for k, v := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": handshakeKey,
			"Authorization": authorization, "Sec-Websocket-Protocol": protocol, "Cookie": cookie, "Origin": origin,
		} {
			if v != "" {
				r.Header.Set(k, v)
			}
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		if w.Code < 400 { // a recorder cannot be hijacked, so 500 is the best there is
			t.Errorf("got %d", w.Code)
		}
	})
}
