package testbrowser_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/testbrowser"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const form = `<!doctype html><link rel="icon" href="data:,"><form data-testid="form"><input data-testid="in"></form><p data-testid="out"></p>
<script>document.forms[0].onsubmit = (e) => { e.preventDefault(); document.querySelector("p").append(document.querySelector("input").value);
  console.error("submitted"); setTimeout(() => { throw new Error("thrown"); }) }</script>`

func TestPage(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(form))
	}))
	t.Cleanup(server.Close)
	p := testbrowser.Open(t, server.URL)
	other := p.Tab(server.URL)
	p.Type("in", "grüß dich\n")
	p.WaitText("out", "grüß dich")
	if got, want := other.Texts("out"), []string{""}; !slices.Equal(got, want) {
		t.Errorf("the other tab shows %q, want %q", got, want)
	}
	for range 1000 { // the console arrives by its own way
		if len(p.Errors()) < 2 {
			p.Eval(`new Promise((r) => setTimeout(() => r(0), 5))`, nil)
		}
	}
	if got := p.Errors(); len(got) != 2 {
		t.Errorf("console: got %q, want the error and the exception", got)
	}
	if got := other.Errors(); len(got) > 0 {
		t.Errorf("console of the other tab: %v", got)
	}
}
