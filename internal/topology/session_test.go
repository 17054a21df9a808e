package topology_test

import (
	"context"
	"fmt"
	"time"

	"github.com/agentmesh/agentmesh/middleware/session"
)

func (p *place) store() *session.Store {
	p.Helper()
	s, err := session.NewStore(session.Config{Redis: p.client(), Prefix: p.prefix, Logger: p.logger()})
	if err != nil {
		p.Fatal(err)
	}
	return s
}

func sessions(p *place) {
	a, b := p.store(), p.store()
	const n = 20
	var digests []string
	for i := range n {
		token, s, err := a.Create(p.Context(), fmt.Sprint("user ", i), time.Hour, "player")
		if err != nil {
			p.Fatal(err)
		}
		v, err := b.Verify(p.Context(), token)
		if err != nil || !v.Valid || v.Session.User != fmt.Sprint("user ", i) || v.Left <= 0 {
			p.Errorf("session %d: %+v, %v", i, v, err)
		}
		digests = append(digests, s.Digest)
	}
	if ended, err := b.RevokeDigest(p.Context(), digests[3]); err != nil || !ended {
		p.Errorf("RevokeDigest: %v, %v", ended, err)
	}
	digests = append(digests, session.Digest("nobody's"))
	verdicts, err := b.VerifyAll(p.Context(), digests) // over many slots
	if err != nil {
		p.Fatal(err)
	}
	for i, v := range verdicts {
		want := ""
		switch i {
		case 3:
			want = session.Revoked
		case n:
			want = session.Invalid
		}
		if v.Reason != want {
			p.Errorf("session %d is %q, want %q", i, v.Reason, want)
		}
	}
	listed := 0
	for v, err := range a.List(p.Context()) {
		if err != nil {
			p.Fatal(err)
		}
		if v.Session.User != "" {
			listed++
		}
	}
	if listed != n {
		p.Errorf("%d sessions are listed, want %d", listed, n)
	}
}

func revocations(p *place) {
	a, b := p.store(), p.store()
	ready, told := make(chan struct{}), make(chan session.Revocation, 100)
	p.background(func(ctx context.Context) {
		err := b.Watch(ctx, session.Watcher{
			Ready:   func() { close(ready) },
			Revoked: func(r session.Revocation) { told <- r },
			Resync:  func() { p.Error("a resync without a reason") },
		})
		if err != nil {
			p.Errorf("Watch: %v", err)
		}
	})
	<-ready
	for range 5 {
		if _, _, err := a.Create(p.Context(), "ann", time.Hour); err != nil {
			p.Fatal(err)
		}
	}
	if n, err := a.RevokeUser(p.Context(), "ann"); err != nil || n != 5 {
		p.Errorf("RevokeUser: %d, %v", n, err)
	}
	for range 5 {
		select {
		case r := <-told:
			if r.User != "ann" {
				p.Errorf("the revocation of %q", r.User)
			}
		case <-time.After(deadline):
			p.Fatal("a revocation is never told")
		}
	}
}
