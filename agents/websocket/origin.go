package websocket

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const anyOrigin = "*"

// origins is the allow list of a bridge, in the form that parseOrigin gives.
type origins struct {
	any  bool
	list map[string]bool // empty means the same host
}

func newOrigins(entries []string) origins {
	o := origins{list: make(map[string]bool)}
	for _, e := range entries {
		if e == anyOrigin {
			o.any = true
		} else if s, err := parseOrigin(e); err == nil {
			o.list[s] = true
		}
	}
	return o
}

// verdict says what a request's Origin header allows.
type verdict int

const (
	foreign verdict = iota // refused
	lenient                // allowed by "*" alone: what the browser adds by itself, a cookie, proves nothing
	trusted                // same host, listed, or not a browser at all
)

// judge checks the Origin header, RFC 6455 section 10.2. Browsers always send one on a WebSocket
// handshake and pages cannot change it; other clients can send what they like, so it keeps out pages,
// not programs.
func (o origins) judge(r *http.Request) verdict {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return trusted
	}
	otherwise := foreign
	if o.any {
		otherwise = lenient
	}
	if len(values) > 1 {
		return foreign
	}
	origin, err := parseOrigin(values[0])
	if err != nil {
		return otherwise
	}
	if o.list[origin] || (len(o.list) == 0 && sameHost(origin, r)) {
		return trusted
	}
	return otherwise
}

// sameHost reports whether the origin is the host that the request was sent to. A proxy may have ended
// TLS before us, so https is believed on a plain connection, but http is not on a TLS one.
func sameHost(origin string, r *http.Request) bool {
	scheme, _, _ := strings.Cut(origin, "://")
	if scheme != "https" && (scheme != "http" || r.TLS != nil) {
		return false
	}
	host, err := parseOrigin(scheme + "://" + r.Host)
	return err == nil && host == origin
}

// parseOrigin gives an origin in lower case and without its default port, RFC 6454 section 6.
func parseOrigin(s string) (string, error) {
	u, err := url.Parse(strings.ToLower(s))
	switch {
	case err != nil:
		return "", errors.New("not an origin")
	case u.Scheme == "" || u.Hostname() == "":
		return "", errors.New("not an origin: want scheme://host[:port]")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("not an origin: more than scheme://host[:port]")
	}
	host := u.Host
	if p := u.Port(); p == "" || (p == "80" && u.Scheme == "http") || (p == "443" && u.Scheme == "https") {
		host = strings.TrimSuffix(host, ":"+p)
	}
	return u.Scheme + "://" + host, nil
}
