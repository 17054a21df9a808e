package web_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/web"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func get(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestHandlerServes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, kind, cache string }{
		{"/", "text/html; charset=utf-8", "no-store"},
		{"/agentmesh.js", "text/javascript; charset=utf-8", "no-cache"},
		{"/app.js", "text/javascript; charset=utf-8", "no-cache"},
		{"/conversation.js", "text/javascript; charset=utf-8", "no-cache"},
		{"/words.js", "text/javascript; charset=utf-8", "no-cache"},
		{"/style.css", "text/css; charset=utf-8", "no-cache"},
		{"/icon.svg", "image/svg+xml", "no-cache"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			resp := get(t, http.MethodGet, tt.path, nil)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d, want 200", resp.StatusCode)
			}
			for key, want := range map[string]string{
				"Content-Type": tt.kind, "Cache-Control": tt.cache,
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			} {
				if got := resp.Header.Get(key); got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}
			if got, want := resp.Header.Get("Content-Security-Policy"), "default-src 'self'; connect-src 'self' ws: wss:"; !strings.HasPrefix(got, want) {
				t.Errorf("Content-Security-Policy: got %q, want it to begin with %q", got, want)
			}
			etag := resp.Header.Get("ETag")
			if (etag != "") != (tt.cache == "no-cache") {
				t.Fatalf("ETag %q with Cache-Control %q", etag, tt.cache)
			}
			if etag == "" {
				return
			}
			if again := get(t, http.MethodGet, tt.path, http.Header{"If-None-Match": {etag}}); again.StatusCode != http.StatusNotModified {
				t.Errorf("with its own ETag: status %d, want 304", again.StatusCode)
			}
			if other := get(t, http.MethodGet, tt.path, http.Header{"If-None-Match": {`"x"`}}); other.StatusCode != http.StatusOK {
				t.Errorf("with another ETag: status %d, want 200", other.StatusCode)
			}
		})
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/index.html", http.StatusNotFound},
		{http.MethodGet, "/web.go", http.StatusNotFound},
		{http.MethodGet, "/../web.go", http.StatusNotFound},
		{http.MethodGet, "/dev/session", http.StatusNotFound},
		{http.MethodPost, "/", http.StatusMethodNotAllowed},
		{http.MethodHead, "/", http.StatusOK},
	} {
		if resp := get(t, tt.method, tt.path, nil); resp.StatusCode != tt.want {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.path, resp.StatusCode, tt.want)
		}
	}
}
