package agents

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/web"
)

// devSession is how long a session that the page made for itself lives.
const devSession = 12 * time.Hour

// pages is what the HTTP address serves: /ws always, and with Dev the page and its own sessions.
func (a *Agent) pages() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws", a.bridge)
	mux.HandleFunc("GET /healthz", a.health)
	if a.cfg.Dev {
		mux.HandleFunc("POST /dev/session", a.devSession)
		mux.Handle("GET /", web.Handler())
	}
	return mux
}

// health says whether this agent can do its work now.
func (a *Agent) health(w http.ResponseWriter, r *http.Request) {
	if err := a.redis.Ping(r.Context()).Err(); err != nil {
		http.Error(w, "the broker does not answer", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// devSession makes a session for anybody who can reach the loopback address. Pages of other sites are
// refused: a browser would let them send this request too.
func (a *Agent) devSession(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			http.Error(w, "pages of other sites may not make sessions", http.StatusForbidden)
			return
		}
	}
	var want struct {
		User string `json:"user"`
	}
	body := http.MaxBytesReader(w, r.Body, 4<<10)
	if err := json.NewDecoder(body).Decode(&want); err != nil {
		http.Error(w, `send {"user":"NAME"}`, http.StatusBadRequest)
		return
	}
	if err := message.ValidName(want.User); err != nil {
		http.Error(w, "the name "+err.Error(), http.StatusBadRequest)
		return
	}
	token, s, err := a.sessions.Create(r.Context(), want.User, devSession)
	if err != nil {
		a.log.Error("a session for the page could not be made", "error", err)
		http.Error(w, "the broker does not answer", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(map[string]string{"session": token, "user": s.User, "agent": a.cfg.Name}); err != nil {
		a.log.Warn("a session for the page did not reach it", "error", err)
	}
}
