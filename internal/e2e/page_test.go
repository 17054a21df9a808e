package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/internal/testbrowser"
)

// TestPage: two browser windows chat through `serve --dev` with nothing else installed.
func TestPage(t *testing.T) {
	t.Parallel()
	a := start(t, nil, "agentmesh", "serve", "--dev", "--zmq", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--embedded-addr", "127.0.0.1:0")
	ready := a.line("the ready line")
	_, url, _ := strings.Cut(ready, "http=")
	url, _, _ = strings.Cut(url, " ")

	ann := testbrowser.Open(t, url)
	bob := ann.Tab(url)
	ann.Login("ann")
	bob.Login("bob")

	ann.JoinRoom("lobby")
	bob.JoinRoom("lobby")
	ann.SendRoom("Hello <b>room</b>")
	bob.WaitMessage("ann", "Hello <b>room</b>")
	bob.SendRoom("Hello ann")
	ann.WaitMessage("bob", "Hello ann")

	ann.SendDirect("bob", "just for you")
	bob.OpenDirect("ann")
	bob.WaitMessage("ann", "just for you")

	bob.SendGlobal("everyone?")
	ann.OpenEveryone()
	ann.WaitMessage("bob", "everyone?")

	bob.Reload()
	bob.OpenRoom("lobby")
	bob.WaitMessage("ann", "Hello <b>room</b>")
	for _, p := range []*testbrowser.Page{ann, bob} {
		if errs := p.Errors(); len(errs) > 0 {
			t.Errorf("the console shows %q", errs)
		}
	}
}

// TestDevSessionsStayAtHome: the page's way to make a session is open to this machine's pages only.
func TestDevSessionsStayAtHome(t *testing.T) {
	t.Parallel()
	if out, err := run(t, "", "serve", "--dev", "--http", "0.0.0.0:0", "--zmq", "tcp://127.0.0.1:0", "--embedded-addr", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("serve --dev on all addresses: %q, %v; want a refusal that says loopback", out, err)
	}
	m := newMesh(t)
	post := func(origin string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, m.a.http+"/dev/session", strings.NewReader(`{"user":"eve"}`))
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if got := post(""); got != http.StatusNotFound && got != http.StatusMethodNotAllowed {
		t.Errorf("without --dev: got %d", got)
	}
	dev := serve(t, "dev", m.redis.URL, "--dev")
	m.a = dev
	for origin, want := range map[string]int{"": 200, dev.http: 200, "https://evil.example": 403, "null": 403} {
		if got := post(origin); got != want {
			t.Errorf("origin %q: got %d, want %d", origin, got, want)
		}
	}
}
