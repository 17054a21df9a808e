package websocket

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"
)

const (
	cookieName    = "agentmesh_session"
	sessionPrefix = "session." // of the subprotocol item that carries a session
	maxSession    = 256        // bytes, as the protocol has it
)

// ServeHTTP is the handler for GET /ws. It checks the origin and the session, upgrades and returns: what
// net/http held for the request is freed while the connection lives on under Run.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !b.reserve() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "not accepting connections", http.StatusServiceUnavailable)
		return
	}
	joined := false
	defer func() { // after a panic in Authenticate too
		if !joined {
			b.unreserve()
		}
	}()
	c := b.handshake(w, r)
	if c == nil {
		return
	}
	select {
	case b.joins <- c:
		joined = true
	case <-b.stopping:
		c.abandon()
	}
}

// handshake gives the upgraded connection, or nil when it has answered with an error.
func (b *Bridge) handshake(w http.ResponseWriter, r *http.Request) *Conn {
	if !gorilla.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, "a WebSocket handshake is needed here", http.StatusUpgradeRequired)
		return nil
	}
	origin := b.origins.judge(r)
	offer := readOffer(r)
	switch {
	case origin == foreign:
		return b.refuse(w, r, http.StatusForbidden, "origin not allowed")
	case origin == lenient && offer.fromCookie:
		return b.refuse(w, r, http.StatusForbidden, "session cookie from another origin")
	case offer.unknown:
		return b.refuse(w, r, http.StatusBadRequest, "unknown subprotocol")
	}
	identity, status := b.authenticate(r.Context(), offer)
	if status != 0 {
		return b.refuse(w, r, status, "session refused")
	}
	return b.upgrade(w, r, offer, identity)
}

// refuse answers with status and a sentence that tells nothing about the session.
func (b *Bridge) refuse(w http.ResponseWriter, r *http.Request, status int, why string) *Conn {
	b.cfg.Logger.Debug("handshake refused", "remote", r.RemoteAddr, "status", status, "why", why)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, why, status)
	return nil
}

// authenticate returns the identity, or the status to refuse with.
func (b *Bridge) authenticate(ctx context.Context, o offer) (any, int) {
	if b.cfg.Authenticate == nil {
		return nil, 0
	}
	if o.malformed {
		return nil, http.StatusUnauthorized
	}
	if o.session == "" {
		return nil, 0
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.HandshakeTimeout)
	defer cancel()
	identity, err := b.cfg.Authenticate(ctx, o.session)
	switch {
	case err == nil:
		return identity, 0
	case errors.Is(err, ErrUnavailable), ctx.Err() != nil:
		return nil, http.StatusServiceUnavailable
	}
	return nil, http.StatusUnauthorized
}

func (b *Bridge) upgrade(w http.ResponseWriter, r *http.Request, o offer, identity any) *Conn {
	c := &Conn{bridge: b, key: b.keys.Add(1), remote: r.RemoteAddr, identity: identity, done: make(chan struct{})}
	c.wire.init(c)
	header := http.Header{}
	if o.speaks {
		c.subprotocol = SubprotocolV1
		header.Set("Sec-WebSocket-Protocol", SubprotocolV1)
	}
	up := gorilla.Upgrader{
		ReadBufferSize:  readBuffer,
		WriteBufferSize: writeBuffer,
		WriteBufferPool: &b.frames,
		CheckOrigin:     func(*http.Request) bool { return true }, // judged before, in handshake
	}
	ws, err := up.Upgrade(&hijacker{ResponseWriter: w, wire: &c.wire}, r, header)
	if err != nil { // gorilla has answered
		b.cfg.Logger.Debug("handshake refused", "remote", r.RemoteAddr, "why", err)
		return nil
	}
	if err := c.wire.flush(b.cfg.HandshakeTimeout); err != nil {
		c.wire.Close()
		return nil
	}
	c.attach(ws)
	return c
}

// hijacker puts the wire between gorilla and the connection when the upgrade takes it over. So neither
// the listener nor the server needs to know, and TLS works too.
type hijacker struct {
	http.ResponseWriter
	wire *wire
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.wire.Conn = conn
	return h.wire, rw, nil
}

// offer is what a client brings to the handshake.
type offer struct {
	session    string
	fromCookie bool
	malformed  bool // a session was given in a form that cannot be one
	speaks     bool // agentmesh.v1 was offered
	unknown    bool // subprotocols were offered, and none of them is ours
}

// readOffer reads the session and the subprotocols. The most explicit session wins: Authorization, then
// the subprotocol item, then the cookie, which browsers send unasked. The URL is never looked at.
func readOffer(r *http.Request) offer {
	var o offer
	item, others := "", 0
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			switch {
			case p == SubprotocolV1:
				o.speaks = true
			case strings.HasPrefix(p, sessionPrefix):
				o.malformed = o.malformed || item != ""
				item = p
			case p != "":
				others++
			}
		}
	}
	o.unknown = others > 0 && !o.speaks
	authorization := r.Header.Values("Authorization")
	cookies := r.CookiesNamed(cookieName)
	switch {
	case len(authorization) > 0:
		scheme, token, ok := strings.Cut(authorization[0], " ")
		o.session = strings.TrimSpace(token)
		o.malformed = o.malformed || !ok || len(authorization) > 1 || !strings.EqualFold(scheme, "Bearer")
	case item != "":
		raw, err := base64.RawURLEncoding.Strict().DecodeString(item[len(sessionPrefix):])
		o.session = string(raw)
		o.malformed = o.malformed || err != nil
	case len(cookies) > 0:
		o.session, o.fromCookie = cookies[0].Value, true
		o.malformed = len(cookies) > 1 // a neighbour domain may have planted one
	default:
		return o
	}
	if o.session == "" || len(o.session) > maxSession || !utf8.ValidString(o.session) {
		o.malformed = true
	}
	return o
}
