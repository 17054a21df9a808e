package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/middleware/session"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	client := open(t, "redis://127.0.0.1:1")
	for field, c := range map[string]session.Config{
		"Redis":       {},
		"Prefix":      {Redis: client, Prefix: "a}"},
		"MaxPerUser":  {Redis: client, MaxPerUser: -1},
		"Revocations": {Redis: client, Revocations: -1},
	} {
		if _, err := session.NewStore(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func TestSessionLives(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		store := newStore(t, session.Config{Redis: open(t, url)})
		token, made := create(t, store, "ann}é", time.Hour, "admin", "player")
		if raw, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(raw) != 32 {
			t.Errorf("token: %d bytes, %v, want 32", len(raw), err)
		}
		v := verify(t, store, token)
		if !v.Valid || v.Reason != "" || v.Left <= 59*time.Minute || v.Left > time.Hour {
			t.Errorf("verdict: got %+v, want valid for about an hour", v)
		}
		if s := v.Session; s.User != "ann}é" || !slices.Equal(s.Roles, []string{"admin", "player"}) || s.Digest != session.Digest(token) {
			t.Errorf("session: got %+v", s)
		}
		if !v.Session.Created.Equal(made.Created) || !v.Session.Expires.Equal(made.Expires) || made.Expires.Sub(made.Created) != time.Hour {
			t.Errorf("times: verified %v to %v, made %v to %v", v.Session.Created, v.Session.Expires, made.Created, made.Expires)
		}
	})
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		store := newStore(t, session.Config{Redis: open(t, url)})
		token, _ := create(t, store, "ann", 50*time.Millisecond)
		for ctx := within(t); verify(t, store, token).Valid; {
			if ctx.Err() != nil {
				t.Fatal("the session never expired")
			}
		}
		if v := verify(t, store, token); v.Reason != session.Expired || v.Session.User != "ann" || v.Left != 0 {
			t.Errorf("got %+v, want %s of ann", v, session.Expired)
		}
		if ok, err := store.Revoke(t.Context(), token); ok || err != nil {
			t.Errorf("Revoke of an expired session: got %v, %v, want false", ok, err)
		}
		if v := verify(t, store, token); v.Reason != session.Expired {
			t.Errorf("after Revoke: got %q, want %q", v.Reason, session.Expired)
		}
	})
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		mine, other := newStore(t, session.Config{Redis: open(t, url)}), newStore(t, session.Config{Redis: open(t, url)})
		token, _ := create(t, mine, "ann", time.Hour)
		kept, _ := create(t, mine, "ann", time.Hour)
		for round, want := range []bool{true, false} {
			if ok, err := other.Revoke(t.Context(), token); ok != want || err != nil {
				t.Errorf("Revoke, call %d: got %v, %v, want %v", round, ok, err, want)
			}
		}
		if v := verify(t, mine, token); v.Valid || v.Reason != session.Revoked || v.Session.User != "ann" {
			t.Errorf("got %+v, want %s", v, session.Revoked)
		}
		if !verify(t, mine, kept).Valid {
			t.Error("another session of the user ended too")
		}
		for _, bad := range []string{"", "nobody", strings.Repeat("a", 64), strings.ToUpper(session.Digest(kept)), "}{"} {
			if ok, err := mine.RevokeDigest(t.Context(), bad); ok || err != nil {
				t.Errorf("RevokeDigest(%q): got %v, %v, want false", bad, ok, err)
			}
		}
	})
}

func TestUnknownTokens(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		client := open(t, url)
		store := newStore(t, session.Config{Redis: client})
		token, s := create(t, store, "ann", time.Hour)
		for name, bad := range map[string]string{
			"empty": "", "1 byte": "x", "256 bytes": strings.Repeat("x", 256), "257 bytes": strings.Repeat("x", 257),
			"the digest": s.Digest, "cut": token[:42], "longer": token + "=", "control": "a\x00b\r\n", "invalid UTF-8": "\xff\xfe",
		} {
			if v := verify(t, store, bad); v.Valid || v.Reason != session.Invalid {
				t.Errorf("%s: got %+v, want %s", name, v, session.Invalid)
			}
			if ok, err := store.Revoke(t.Context(), bad); ok || err != nil {
				t.Errorf("%s: Revoke got %v, %v, want false", name, ok, err)
			}
		}
		if n := client.Exists(t.Context(), "{m:s:"+session.Digest("x")+"}").Val(); n != 0 {
			t.Error("revoking an unknown token left a key")
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	store := newStore(t, session.Config{Redis: open(t, "redis://127.0.0.1:1")})
	for name, c := range map[string]struct {
		user  string
		ttl   time.Duration
		roles []string
	}{
		"no user":       {"", time.Hour, nil},
		"long user":     {strings.Repeat("u", 129), time.Hour, nil},
		"control":       {"a\nb", time.Hour, nil},
		"invalid UTF-8": {"a\xff", time.Hour, nil},
		"no time":       {"ann", 0, nil},
		"negative":      {"ann", -time.Hour, nil},
		"empty role":    {"ann", time.Hour, []string{""}},
		"two-line role": {"ann", time.Hour, []string{"a\nadmin"}},
		"many roles":    {"ann", time.Hour, slices.Repeat([]string{"r"}, 33)},
	} {
		if _, _, err := store.Create(t.Context(), c.user, c.ttl, c.roles...); err == nil || strings.Contains(err.Error(), "dial") {
			t.Errorf("%s: got %v, want a refusal before Redis is asked", name, err)
		}
	}
}

func TestSomethingElseIsAnError(t *testing.T) {
	t.Parallel()
	client := open(t, testredis.Start(t).URL)
	store := newStore(t, session.Config{Redis: client})
	hash := func(fields ...any) func(key string) error {
		return func(key string) error {
			if err := client.HSet(t.Context(), key, fields...).Err(); err != nil {
				return err
			}
			return client.PExpire(t.Context(), key, 48*time.Hour).Err()
		}
	}
	for name, write := range map[string]func(key string) error{
		"a string": func(key string) error { return client.Set(t.Context(), key, "x", time.Hour).Err() },
		"no times": hash("user", "ann", "roles", ""),
		"bad time": hash("user", "ann", "roles", "", "created", "1", "expires", "soon"),
	} {
		token := "token of " + name
		if err := write("{m:s:" + session.Digest(token) + "}"); err != nil {
			t.Fatal(err)
		}
		if v, err := store.Verify(t.Context(), token); err == nil || v.Valid {
			t.Errorf("%s: got %+v, %v, want an error", name, v, err)
		}
	}
	if err := client.HSet(t.Context(), "{m:s:"+session.Digest("for ever")+"}", "user", "ann").Err(); err != nil {
		t.Fatal(err)
	}
	if v := verify(t, store, "for ever"); v.Reason != session.Invalid {
		t.Errorf("a session without an end: got %+v, want %s", v, session.Invalid)
	}
}

func TestNoAnswerIsAnError(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	store := newStore(t, session.Config{Redis: open(t, server.URL)})
	token, s := create(t, store, "ann", time.Hour)
	server.Kill()
	if v, err := store.Verify(t.Context(), token); err == nil || v.Valid {
		t.Errorf("Verify: got %+v, %v, want an error", v, err)
	} else if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), s.Digest) {
		t.Error("the error shows the session")
	}
	if v, err := store.VerifyAll(t.Context(), []string{s.Digest}); err == nil || v != nil {
		t.Errorf("VerifyAll: got %+v, %v, want an error", v, err)
	}
	if _, err := store.Revoke(t.Context(), token); err == nil {
		t.Error("Revoke: want an error")
	}
}

func TestThousandSessionsOfOneUser(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		n := on(t, 1000, 300)
		client := open(t, url)
		store, other := newStore(t, session.Config{Redis: client, MaxPerUser: n}), newStore(t, session.Config{Redis: open(t, url)})
		var digests []string
		for range n {
			_, s := create(t, store, "ann", time.Hour)
			digests = append(digests, s.Digest)
		}
		bob, _ := create(t, store, "bob", 2*time.Hour)
		if _, _, err := store.Create(t.Context(), "ann", time.Hour); !errors.Is(err, session.ErrTooMany) {
			t.Errorf("session %d: got %v, want ErrTooMany", n+1, err)
		}
		verdicts, err := other.VerifyAll(t.Context(), append(digests, "no digest", session.Digest(bob)))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range verdicts {
			if want := i != n; v.Valid != want || i < n && v.Session.Digest != digests[i] {
				t.Fatalf("verdict %d: got %+v, want valid %v", i, v, want)
			}
		}
		if got := listed(t, store.List(t.Context())); len(got) != n+1 || got[n] != session.Digest(bob) {
			t.Errorf("List: got %d different sessions, want %d, bob's last", len(got), n+1)
		}
		if got := listed(t, store.ListUser(t.Context(), "ann")); len(got) != n {
			t.Errorf("ListUser: got %d different sessions, want %d", len(got), n)
		}
		if ended, err := other.RevokeUser(t.Context(), "ann"); ended != n || err != nil {
			t.Errorf("RevokeUser: got %d, %v, want %d", ended, err, n)
		}
		if ended, err := other.RevokeUser(t.Context(), "ann"); ended != 0 || err != nil {
			t.Errorf("RevokeUser again: got %d, %v, want 0", ended, err)
		}
		for v, err := range store.List(t.Context()) {
			if err != nil || v.Valid != (v.Session.User == "bob") || !v.Valid && v.Reason != session.Revoked {
				t.Fatalf("List after RevokeUser: got %+v, %v", v, err)
			}
		}
		if got := listed(t, store.ListUser(t.Context(), "ann")); len(got) != 0 {
			t.Errorf("ListUser after RevokeUser: got %d, want none", len(got))
		}
		if !verify(t, store, bob).Valid {
			t.Error("bob's session ended with ann's")
		}
		create(t, store, "ann", time.Hour)
	})
}

func TestListPagesThroughOneInstant(t *testing.T) {
	t.Parallel()
	client := open(t, testredis.Start(t).URL)
	store := newStore(t, session.Config{Redis: client})
	var want []string
	for range 700 {
		_, s := create(t, store, "ann", time.Hour)
		want = append(want, s.Digest)
	}
	for _, d := range want { // every session ends in the same millisecond
		if err := client.Do(t.Context(), "ZADD", "{m:sl}", "4102444800000", d).Err(); err != nil {
			t.Fatal(err)
		}
	}
	got := listed(t, store.List(t.Context()))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d sessions, want %d", len(got), len(want))
	}
	for range store.List(t.Context()) {
		break // a caller may stop early
	}
}

func listed(t *testing.T, all func(func(session.Verdict, error) bool)) []string {
	t.Helper()
	var digests []string
	seen := map[string]bool{}
	for v, err := range all {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if !seen[v.Session.Digest] {
			seen[v.Session.Digest] = true
			digests = append(digests, v.Session.Digest)
		}
	}
	return digests
}

// No session that stood when RevokeUser began may outlive it, whatever is being made meanwhile.
func TestRevokeUserRacesCreate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		store := newStore(t, session.Config{Redis: open(t, url)})
		var makers sync.WaitGroup
		var mu sync.Mutex
		var tokens []string
		for range 4 {
			makers.Go(func() {
				for range 40 {
					token, _, err := store.Create(t.Context(), "ann", time.Hour)
					if err != nil {
						continue // revoked while it was being made
					}
					mu.Lock()
					tokens = append(tokens, token)
					mu.Unlock()
				}
			})
		}
		for range 20 {
			mu.Lock()
			before := slices.Clone(tokens)
			mu.Unlock()
			if _, err := store.RevokeUser(t.Context(), "ann"); err != nil {
				t.Error(err)
			}
			for _, token := range before {
				if verify(t, store, token).Valid {
					t.Error("a session that stood before RevokeUser outlived it")
				}
			}
		}
		makers.Wait()
		if _, err := store.RevokeUser(t.Context(), "ann"); err != nil {
			t.Error(err)
		}
		for i, token := range tokens {
			if v := verify(t, store, token); v.Valid {
				t.Fatalf("session %d of %d outlived RevokeUser", i, len(tokens))
			}
		}
	})
}

func TestRevokeUserStopsCreateUnderWay(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		client := open(t, url)
		store := newStore(t, session.Config{Redis: client})
		token, s := create(t, store, "ann", time.Hour)
		// As if Create had stood still between its two writes.
		if err := client.Del(t.Context(), "{m:s:"+s.Digest+"}").Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := store.RevokeUser(t.Context(), "ann"); n != 0 || err != nil {
			t.Errorf("RevokeUser: got %d, %v, want 0", n, err)
		}
		if v := verify(t, store, token); v.Reason != session.Revoked {
			t.Errorf("got %+v, want a tombstone that the second write finds", v)
		}
	})
}

func TestTombstonesGoAfterADay(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		client := open(t, url)
		store := newStore(t, session.Config{Redis: client})
		token, s := create(t, store, "ann", 100*time.Hour)
		ttl := func() time.Duration { return client.PTTL(t.Context(), "{m:s:"+s.Digest+"}").Val() }
		if got := ttl(); got < 123*time.Hour || got > 124*time.Hour {
			t.Errorf("a live session is kept %v, want its time and a day", got)
		}
		if got := client.PTTL(t.Context(), "{m:su:ann}").Val(); got < 123*time.Hour || got > 124*time.Hour {
			t.Errorf("the index is kept %v, want as long as its longest session", got)
		}
		if _, err := store.Revoke(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if got := ttl(); got < 23*time.Hour || got > 24*time.Hour {
			t.Errorf("a tombstone is kept %v, want a day", got)
		}
	})
}

func TestEndedSessionsDoNotCount(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		store := newStore(t, session.Config{Redis: open(t, url), MaxPerUser: 1})
		token, _ := create(t, store, "ann", 30*time.Millisecond)
		for ctx := within(t); verify(t, store, token).Valid && ctx.Err() == nil; {
		}
		second, _, err := store.Create(t.Context(), "ann", time.Hour)
		for ctx := within(t); errors.Is(err, session.ErrTooMany) && ctx.Err() == nil; {
			second, _, err = store.Create(t.Context(), "ann", time.Hour)
		}
		if err != nil {
			t.Fatalf("after the first has expired: %v", err)
		}
		if _, _, err := store.Create(t.Context(), "ann", time.Hour); !errors.Is(err, session.ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", err)
		}
		if _, err := store.Revoke(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		create(t, store, "ann", time.Hour)
	})
}

func TestRedisNeverHoldsTheToken(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		client := open(t, url)
		store := newStore(t, session.Config{Redis: client})
		token, _ := create(t, store, "ann", time.Hour, "r")
		ended, _ := create(t, store, "ann", time.Hour)
		verify(t, store, token)
		verify(t, store, "a-token-that-nobody-made")
		if _, err := store.Revoke(t.Context(), ended); err != nil {
			t.Fatal(err)
		}
		all := dump(t, client)
		if !strings.Contains(all, session.Digest(token)) {
			t.Fatal("the dump misses the session; the test sees nothing")
		}
		for _, secret := range []string{token, ended, "a-token-that-nobody-made"} {
			if strings.Contains(all, secret) {
				t.Error("Redis holds a token")
			}
		}
	})
}

// dump returns every key and value of a Redis as text.
func dump(t *testing.T, client *redisx.Client) string {
	t.Helper()
	ctx := context.Background()
	var all strings.Builder
	keys := client.Scan(ctx, 0, "*", 100).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var value any
		switch kind := client.Type(ctx, key).Val(); kind {
		case "hash":
			value = client.HGetAll(ctx, key).Val()
		case "zset":
			value = client.ZRangeWithScores(ctx, key, 0, -1).Val()
		case "stream":
			value = client.XRange(ctx, key, "-", "+").Val()
		default:
			t.Fatalf("key %q is a %s, which doc.go does not list", key, kind)
		}
		fmt.Fprintln(&all, key, value)
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
