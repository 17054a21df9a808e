package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Why a session is not valid, in the words of the protocol's Logout.
const (
	Invalid = "SessionInvalid" // unknown, or ended more than 24 hours ago
	Expired = "SessionExpired"
	Revoked = "SessionRevoked"
)

// Verdict says whether a session may be used.
type Verdict struct {
	Valid   bool
	Reason  string        // Invalid, Expired or Revoked; empty when Valid
	Session Session       // all but Digest is zero when the reason is Invalid
	Left    time.Duration // until it expires; 0 when not Valid. A cached verdict must not outlive it
}

// Verify asks Redis about a token. A token that is unknown, ended or not of the right form gets a Verdict,
// not an error. An error means that Redis did not answer: the caller lets nobody in.
func (s *Store) Verify(ctx context.Context, token string) (Verdict, error) {
	if token == "" || len(token) > maxToken {
		return Verdict{Reason: Invalid}, nil
	}
	digest := Digest(token)
	return verdict(digest, s.redis.Eval(ctx, verifyScript, []string{s.sessionKey(digest)}))
}

// VerifyAll asks about many sessions in one pipeline and answers in the same order. It gives an error, and
// no verdict, when Redis did not answer for all of them.
func (s *Store) VerifyAll(ctx context.Context, digests []string) ([]Verdict, error) {
	verdicts := make([]Verdict, len(digests))
	calls := make([]redisx.Call, 0, len(digests))
	places := make([]int, 0, len(digests))
	for i, d := range digests {
		if !isDigest(d) {
			verdicts[i] = Verdict{Reason: Invalid, Session: Session{Digest: d}}
			continue
		}
		calls = append(calls, redisx.Call{Script: verifyScript, Keys: []string{s.sessionKey(d)}})
		places = append(places, i)
	}
	if len(calls) == 0 {
		return verdicts, nil
	}
	for i, cmd := range s.redis.EvalAll(ctx, calls) {
		v, err := verdict(digests[places[i]], cmd)
		if err != nil {
			return nil, err
		}
		verdicts[places[i]] = v
	}
	return verdicts, nil
}

func verdict(digest string, cmd *redis.Cmd) (Verdict, error) {
	reply, err := cmd.Slice()
	if err != nil {
		return Verdict{}, fmt.Errorf("session: verify: %w", err)
	}
	r, err := parseRecord(reply)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Session: Session{Digest: digest}}
	if r.user == "" {
		v.Reason = Invalid
		return v, nil
	}
	v.Session.User, v.Session.Roles = r.user, r.roles
	v.Session.Created, v.Session.Expires = fromMillis(r.created), fromMillis(r.expires)
	switch {
	case r.revoked:
		v.Reason = Revoked
	case r.now >= r.expires:
		v.Reason = Expired
	default:
		v.Valid, v.Left = true, time.Duration(r.expires-r.now)*time.Millisecond
	}
	return v, nil
}

// record is what verify.lua returns.
type record struct {
	user                  string // empty: there is no such session
	roles                 []string
	now, created, expires int64 // ms
	revoked               bool
}

var errRecord = errors.New("session: Redis holds something else under the key of a session")

func parseRecord(reply []any) (record, error) {
	if len(reply) != 6 {
		return record{}, errRecord
	}
	var r record
	var texts [5]string
	now, ok := reply[0].(int64)
	for i := range texts {
		text, isText := reply[i+1].(string)
		texts[i], ok = text, ok && isText
	}
	if !ok {
		return record{}, errRecord
	}
	r.now, r.user, r.revoked = now, texts[0], texts[4] != ""
	if r.user == "" {
		return r, nil
	}
	if texts[1] != "" {
		r.roles = strings.Split(texts[1], "\n")
	}
	var errCreated, errExpires error
	r.created, errCreated = strconv.ParseInt(texts[2], 10, 64)
	r.expires, errExpires = strconv.ParseInt(texts[3], 10, 64)
	if errCreated != nil || errExpires != nil {
		return record{}, errRecord
	}
	return r, nil
}
