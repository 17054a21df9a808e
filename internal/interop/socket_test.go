package interop_test

import (
	"context"
	"slices"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// ours is a socket of ours that is used as a remote one is.
type ours struct {
	t testing.TB
	*zeromq.Socket
}

// dial opens a socket of ours; key is of interest when k is not nil.
func dial(t testing.TB, kind zmq4.SocketType, id, endpoint string, k *trust, key curve.SecretKey) ours {
	t.Helper()
	o := zeromq.Options{RoutingID: id}
	if k != nil {
		o.Security.CurveClient = &zeromq.CurveClient{Server: k.server, Secret: key}
	}
	s, err := zeromq.NewSocket(context.Background(), kind, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Dial(endpoint); err != nil {
		t.Fatal(err)
	}
	return ours{t, s}
}

func (s ours) send(frames ...string) {
	s.t.Helper()
	raw := make([][]byte, len(frames))
	for i, f := range frames {
		raw[i] = []byte(f)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.SendFrames(ctx, raw...); err != nil {
		s.t.Fatalf("sending %q: %v", frames, err)
	}
}

func (s ours) next() []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := s.RecvFrames(ctx)
	if err != nil {
		s.t.Fatalf("no message within %v: %v", patience, err)
	}
	frames := make([]string, len(r.Frames))
	for i, f := range r.Frames {
		frames[i] = string(f)
	}
	return frames
}

// framed is a peer that sees exact frames.
type framed interface {
	send(frames ...string)
	next() []string
}

// want demands a message.
func want(t testing.TB, from framed, frames ...string) {
	t.Helper()
	if got := from.next(); !slices.Equal(got, frames) {
		t.Fatalf("got %.200q, want %.200q", got, frames)
	}
}
