package web_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/agentmesh/agentmesh/web"
)

// stub is an agent small enough to misbehave on purpose: sessions, rooms, histories and answers of the
// protocol in memory, one lock around everything.
type stub struct {
	*httptest.Server
	t *testing.T

	mu        sync.Mutex
	noDev     bool              // POST /dev/session is 404
	mute      bool              // chat messages are neither stored nor answered
	noAck     bool              // chat messages are stored, their Ack is lost
	deaf      bool              // Ping is not answered
	refuse    *envelope         // answers every chat message, if set
	sessions  map[string]string // session → user
	histories map[string]*history
	members   map[string]map[string]bool
	accepted  map[string]int64 // user/id → seq
	conns     map[*peer]bool
	received  []envelope // everything clients sent, in order
}

type envelope = map[string]any

type history struct {
	epoch  string
	oldest int64 // first seq kept
	seq    int64
	kept   []envelope
}

type peer struct {
	ws   *websocket.Conn
	user string
}

func newStub(t *testing.T) *stub {
	t.Helper()
	s := &stub{t: t, sessions: map[string]string{}, histories: map[string]*history{}, members: map[string]map[string]bool{},
		accepted: map[string]int64{}, conns: map[*peer]bool{}}
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.HandleFunc("POST /dev/session", s.session)
	var joined sync.WaitGroup
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		joined.Add(1)
		defer joined.Done()
		s.serve(w, r)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Close()
		s.drop(websocket.CloseGoingAway)
		joined.Wait()
	})
	return s
}

func (s *stub) session(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct{ User string }
	if s.noDev || json.NewDecoder(r.Body).Decode(&in) != nil {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"user": in.User, "session": s.newSession(in.User), "agent": "lobby-1"})
}

func (s *stub) newSession(user string) string {
	token := fmt.Sprintf("secret-%s-%d", user, len(s.sessions))
	s.sessions[token] = user
	return token
}

func (s *stub) serve(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: []string{"agentmesh.v1"}}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	p := &peer{ws: ws}
	s.with(func() { s.conns[p] = true })
	defer s.with(func() { delete(s.conns, p); _ = ws.Close() })
	for {
		var e envelope
		if err := ws.ReadJSON(&e); err != nil {
			return
		}
		s.with(func() { s.handle(p, e) })
	}
}

func (s *stub) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *stub) handle(p *peer, e envelope) {
	if e["type"] != "Ping" {
		s.received = append(s.received, e)
	}
	to, _ := e["to"].(envelope)
	switch e["type"] {
	case "Ping":
		if s.deaf {
			return
		}
		p.send(envelope{"type": "Pong", "bound": p.user != ""})
	case "Login":
		s.login(p, e)
	case "Logout":
		p.send(envelope{"type": "Logout", "reason": "Requested"})
	case "JoinRoom":
		room := to["id"].(string)
		if s.members[room] == nil {
			s.members[room] = map[string]bool{}
		}
		news := !s.members[room][p.user]
		s.members[room][p.user] = true
		ack := s.replay(p, s.history("room:"+room), e["since"], e["epoch"])
		ack["type"], ack["ref"] = "Ack", e["id"]
		p.send(ack)
		if news {
			s.toRoom(room, envelope{"type": "Presence", "to": to, "joined": []string{p.user}})
		}
	case "LeaveRoom":
		room := to["id"].(string)
		delete(s.members[room], p.user)
		p.send(envelope{"type": "Ack", "ref": e["id"]})
		s.toRoom(room, envelope{"type": "Presence", "to": to, "left": []string{p.user}})
	case "Who":
		members := slices.Sorted(maps.Keys(s.members[to["id"].(string)]))
		online := slices.DeleteFunc(slices.Clone(members), func(u string) bool { return !s.isOnline(u) })
		p.send(envelope{"type": "Presence", "to": to, "members": members, "online": online})
	default:
		s.chat(p, e, to)
	}
}

func (s *stub) login(p *peer, e envelope) {
	from, _ := e["from"].(envelope)
	session, _ := from["session"].(string)
	user, ok := s.sessions[session]
	if !ok {
		p.send(envelope{"type": "Logout", "reason": "SessionInvalid"})
		p.close(4401)
		return
	}
	p.user = user
	ack := s.replay(p, s.history("inbox:"+user), e["since"], e["epoch"])
	ack["type"], ack["ref"] = "Ack", e["id"]
	ack["global"] = s.replay(p, s.history("global"), e["since_global"], e["epoch_global"])
	p.send(ack)
}

func (s *stub) chat(p *peer, e, to envelope) {
	if s.mute {
		return
	}
	if s.refuse != nil {
		answer := maps.Clone(*s.refuse)
		answer["type"], answer["ref"] = "Error", e["id"]
		p.send(answer)
		return
	}
	key := fmt.Sprint(p.user, "/", e["id"])
	seq, repeat := s.accepted[key]
	if !repeat {
		seq = s.publish(p.user, e, to)
		s.accepted[key] = seq
	}
	if !s.noAck {
		p.send(envelope{"type": "Ack", "ref": e["id"], "seq": seq})
	}
}

// publish stores a message in its history and delivers it.
func (s *stub) publish(from string, e, to envelope) int64 {
	d := maps.Clone(e)
	d["from"] = envelope{"type": "User", "id": from}
	name, deliver := "global", func() { s.toUsers(func(string) bool { return true }, d) }
	if to["type"] == "User" {
		name, deliver = fmt.Sprint("inbox:", to["id"]), func() { s.toUsers(func(u string) bool { return u == to["id"] }, d) }
	}
	if to["type"] == "ChatRoom" {
		name, deliver = fmt.Sprint("room:", to["id"]), func() { s.toRoom(to["id"].(string), d) }
	}
	h := s.history(name)
	h.seq++
	d["seq"], d["epoch"] = h.seq, h.epoch
	if d["time"] == nil {
		d["time"] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	}
	h.kept = append(h.kept, d)
	deliver()
	return h.seq
}

func (s *stub) replay(p *peer, h *history, since, epoch any) envelope {
	ack := envelope{"seq": h.seq, "epoch": h.epoch, "oldest": h.oldest}
	n, ok := since.(float64)
	if !ok {
		return ack
	}
	after := int64(n)
	if known := epoch != nil; known && epoch != h.epoch || after < h.oldest-1 && (known || after > 0) {
		after, ack["gap"] = 0, true
	}
	for _, d := range h.kept {
		if seq := d["seq"].(int64); seq > after && seq >= h.oldest {
			p.send(d)
		}
	}
	return ack
}

func (s *stub) history(name string) *history {
	h := s.histories[name]
	if h == nil {
		h = &history{epoch: "e1", oldest: 1}
		s.histories[name] = h
	}
	return h
}

func (s *stub) toRoom(room string, e envelope) {
	s.toUsers(func(u string) bool { return s.members[room][u] }, e)
}

func (s *stub) toUsers(want func(user string) bool, e envelope) {
	for p := range s.conns {
		if p.user != "" && want(p.user) {
			p.send(e)
		}
	}
}

func (s *stub) isOnline(user string) bool {
	for p := range s.conns {
		if p.user == user {
			return true
		}
	}
	return false
}

// drop closes every connection: with a code, or (0) as a broken network would.
func (s *stub) drop(code int) {
	s.with(func() {
		for p := range s.conns {
			p.close(code)
		}
	})
}

// sent gives the envelopes of a type that clients have sent so far.
func (s *stub) sent(kind string) []envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.received), func(e envelope) bool { return e["type"] != kind })
}

// waitSent waits until clients have sent n envelopes of a type.
func (s *stub) waitSent(kind string, n int) []envelope {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if got := s.sent(kind); len(got) >= n {
			return got
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("clients sent %d %s, want %d", len(s.sent(kind)), kind, n)
		}
	}
}

func (p *peer) send(e envelope) { _ = p.ws.WriteJSON(e) } // a lost connection is noticed by the reader

func (p *peer) close(code int) {
	if code != 0 {
		_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
	}
	_ = p.ws.Close()
}
