package websocket

import (
	"net/http"
	"time"
)

// NewServer gives an http.Server with the limits that net/http leaves open: a client that sends its
// headers drop by drop, or sends none, is cut off. HTTP/2 is off, because a WebSocket cannot be upgraded
// from it here. Upgraded connections keep their own deadlines.
func NewServer(addr string, h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
}
