package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
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

// Verify asks Redis about a token, in one round trip. A token that is unknown, ended or not of the right form
// gets a Verdict, not an error. An error means that Redis did not answer: the caller lets nobody in.
func (s *Store) Verify(ctx context.Context, token string) (Verdict, error) {
	if token == "" || len(token) > maxToken {
		return Verdict{Reason: Invalid}, nil
	}
	verdicts, err := s.VerifyAll(ctx, []string{Digest(token)})
	if err != nil {
		return Verdict{}, err
	}
	return verdicts[0], nil
}

// VerifyAll asks about many sessions in one pipeline and answers in the same order. It gives an error, and
// no verdict, when Redis did not answer for all of them.
func (s *Store) VerifyAll(ctx context.Context, digests []string) ([]Verdict, error) {
	pipe := s.redis.Pipeline()
	asked := make([]question, len(digests))
	for i, d := range digests {
		if isDigest(d) {
			asked[i] = ask(ctx, pipe, s.sessionKey(d))
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx) // each command carries its own error
	}
	verdicts := make([]Verdict, len(digests))
	for i, d := range digests {
		v, err := asked[i].verdict()
		if err != nil {
			return nil, fmt.Errorf("session: verify: %w", err)
		}
		v.Session.Digest = d
		verdicts[i] = v
	}
	return verdicts, nil
}

// question is what is asked about one session. Its key lives exactly a tombstone's time longer than the
// session, so the time to live tells what is left by the clock of Redis.
//
// The time is read before the fields: of a session that is revoked in between, the fields tell. The other
// way round it would look expired.
type question struct {
	ttl    *redis.DurationCmd
	fields *redis.SliceCmd
}

func ask(ctx context.Context, pipe redis.Pipeliner, key string) question {
	return question{
		ttl:    pipe.PTTL(ctx, key),
		fields: pipe.HMGet(ctx, key, "user", "roles", "created", "expires", "revoked"),
	}
}

var errRecord = errors.New("session: Redis holds something else under the key of a session")

func (q question) verdict() (Verdict, error) {
	if q.fields == nil { // not even a digest
		return Verdict{Reason: Invalid}, nil
	}
	ttl, err := q.ttl.Result()
	if err != nil {
		return Verdict{}, err
	}
	fields, err := q.fields.Result()
	if err != nil {
		return Verdict{}, err
	}
	if len(fields) != 5 {
		return Verdict{}, errRecord
	}
	if fields[0] == nil || ttl < 0 {
		return Verdict{Reason: Invalid}, nil
	}
	var v Verdict
	if v.Session, err = parse(fields); err != nil {
		return Verdict{}, err
	}
	switch left := ttl - tombstone; {
	case fields[4] != nil:
		v.Reason = Revoked
	case left <= 0:
		v.Reason = Expired
	default:
		v.Valid, v.Left = true, left
	}
	return v, nil
}

// parse reads the fields of a session as ask names them.
func parse(fields []any) (Session, error) {
	var texts [4]string
	for i := range texts {
		text, ok := fields[i].(string)
		if !ok {
			return Session{}, errRecord
		}
		texts[i] = text
	}
	created, errCreated := strconv.ParseInt(texts[2], 10, 64)
	expires, errExpires := strconv.ParseInt(texts[3], 10, 64)
	if errCreated != nil || errExpires != nil {
		return Session{}, errRecord
	}
	s := Session{User: texts[0], Created: fromMillis(created), Expires: fromMillis(expires)}
	if texts[1] != "" {
		s.Roles = strings.Split(texts[1], "\n")
	}
	return s, nil
}
