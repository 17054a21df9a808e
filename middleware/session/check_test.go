package session_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/middleware/session"
	"github.com/agentmesh/agentmesh/observables"
)

// said is a client's n-th message.
type said struct {
	client, n int
	digest    string
}

// flights watches the lookups of a check: which sessions are asked about now.
type flights struct {
	store *session.Store

	mu           sync.Mutex
	now          map[string]int
	twice        int // sessions asked about while they were
	trips, asked int
}

func (f *flights) lookup(ctx context.Context, digests []string) ([]session.Verdict, error) {
	f.mu.Lock()
	f.trips++
	f.asked += len(digests)
	for _, d := range digests {
		if f.now[d]++; f.now[d] > 1 {
			f.twice++
		}
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, d := range digests {
			f.now[d]--
		}
	}()
	return f.store.VerifyAll(ctx, digests)
}

// TestCheckOfAThousandClients: the session check as agents have it, on a real Redis: each client's messages leave
// in the order they came, at most one lookup of a session is in flight, and unknown sessions are asked about
// together. With a TTL each session is looked up once, without one again and again.
func TestCheckOfAThousandClients(t *testing.T) {
	t.Parallel()
	store := newStore(t, session.Config{Redis: open(t, testredis.Start(t).URL)})
	const clients, each = 1000, 20
	digests := make([]string, clients)
	for i := range digests {
		_, s := create(t, store, fmt.Sprint("user", i%300), time.Hour)
		digests[i] = s.Digest
		if i%10 == 9 {
			digests[i] = digests[i-1] // a session on two connections
		}
	}
	sessions := slices.Compact(slices.Sorted(slices.Values(digests)))
	for name, ttl := range map[string]time.Duration{"cached": 5 * time.Second, "strict": 0} {
		t.Run(name, func(t *testing.T) {
			watched := &flights{store: store, now: map[string]int{}}
			check := newCheck(t, watched.lookup, ttl)
			subject := observables.NewSubject[said](observables.Config{})
			next, refused, disorder := make([]int, clients), 0, 0
			sub := check.Op()(subject.Stream()).Subscribe(t.Context(), func(c observables.Checked[said, session.Verdict]) {
				if c.Err != nil || !c.Verdict.Valid {
					refused++
				}
				if next[c.Item.client] != c.Item.n {
					disorder++
				}
				next[c.Item.client]++
			}, func(err error) { t.Error(err) }, nil)
			begin := time.Now()
			for n := range each {
				for c := range clients {
					subject.OnNext(said{c, n, digests[c]})
				}
			}
			subject.OnCompleted()
			<-sub.Done()
			took := time.Since(begin)
			for c, n := range next {
				if n != each {
					t.Errorf("%d messages of client %d came out, want %d", n, c, each)
				}
			}
			if refused > 0 || disorder > 0 || watched.twice > 0 {
				t.Errorf("%d refused, %d out of order, %d lookups beside one of the same session: want none", refused, disorder, watched.twice)
			}
			if ttl > 0 && took < ttl && watched.asked != len(sessions) {
				t.Errorf("%d lookups of %d sessions", watched.asked, len(sessions))
			}
			if watched.trips > watched.asked/4 {
				t.Errorf("%d round trips for %d lookups: they were not asked together", watched.trips, watched.asked)
			}
			t.Logf("%d messages of %d clients in %v: %d lookups in %d round trips, 0 out of order, at most 1 lookup of a session in flight",
				clients*each, clients, took.Round(time.Millisecond), watched.asked, watched.trips)
		})
	}
}

func newCheck(t *testing.T, lookup func(context.Context, []string) ([]session.Verdict, error), ttl time.Duration) *observables.Checker[said, string, int, session.Verdict] {
	t.Helper()
	check, err := observables.NewChecker(observables.CheckConfig[said, string, int, session.Verdict]{
		Key: func(s said) string { return s.digest }, Order: func(s said) int { return s.client },
		LookupBatch: lookup, Timeout: 3 * time.Second,
		TTL: func(_ session.Verdict, err error) time.Duration {
			if err != nil {
				return 0
			}
			return ttl
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// TestCheckDropsAVerdictWithinATenthOfASecond of a revocation through another connection to Redis, though it is
// cached for an hour. The delay is printed; what is asserted is ten times as long.
func TestCheckDropsAVerdictWithinATenthOfASecond(t *testing.T) {
	t.Parallel()
	url := testredis.Start(t).URL
	here, elsewhere := open(t, url), open(t, url)
	store := newStore(t, session.Config{Redis: here})
	far := newStore(t, session.Config{Redis: elsewhere})
	check := newCheck(t, store.VerifyAll, time.Hour)
	dropped, ready := make(chan time.Time, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		watched <- store.Watch(ctx, session.Watcher{Ready: func() { close(ready) }, Resync: check.InvalidateAll, Revoked: func(r session.Revocation) {
			check.Invalidate(r.Digest)
			dropped <- time.Now()
		}})
	}()
	defer func() {
		cancel()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	}()
	<-ready
	subject := observables.NewSubject[said](observables.Config{})
	out := make(chan bool, 1)
	sub := check.Op()(subject.Stream()).Subscribe(ctx, func(c observables.Checked[said, session.Verdict]) { out <- c.Verdict.Valid }, nil, nil)
	var worst time.Duration
	for i := range 20 {
		_, s := create(t, store, "ann", time.Hour)
		ask := func() bool {
			subject.OnNext(said{n: i, digest: s.Digest})
			return <-out
		}
		if !ask() {
			t.Fatal("a session is not valid")
		}
		begin := time.Now()
		if _, err := far.RevokeDigest(within(t), s.Digest); err != nil {
			t.Fatal(err)
		}
		worst = max(worst, (<-dropped).Sub(begin))
		if ask() {
			t.Error("the cached verdict was used after the revocation was known")
		}
	}
	sub.Dispose()
	<-sub.Done()
	t.Logf("from the call of RevokeDigest until the verdict was dropped elsewhere: at most %v in 20", worst.Round(10*time.Microsecond))
	if worst > time.Second {
		t.Errorf("it took %v", worst)
	}
}
