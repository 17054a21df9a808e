package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Create makes a session of user that lives for ttl, and returns its token. Nobody can read the token
// again. It costs two round trips. After an error no token of a live session is known to anybody.
func (s *Store) Create(ctx context.Context, user string, ttl time.Duration, roles ...string) (string, Session, error) {
	if err := errors.Join(checkUser(user), checkRoles(roles)); err != nil {
		return "", Session{}, err
	}
	if ttl < time.Millisecond {
		return "", Session{}, fmt.Errorf("session: a time to live of %v is too short", ttl)
	}
	token := newToken()
	made := Session{Digest: Digest(token), User: user, Roles: slices.Clone(roles)}

	now, err := s.redis.Eval(ctx, indexScript, []string{s.userKey(user)},
		made.Digest, ttl.Milliseconds(), s.config.MaxPerUser, tombstone.Milliseconds()).Int64()
	if err != nil {
		return "", Session{}, fmt.Errorf("session: create: %w", err)
	}
	if now < 0 {
		return "", Session{}, ErrTooMany
	}
	if err := s.register(ctx, made.Digest, now, ttl); err != nil {
		return "", Session{}, fmt.Errorf("session: create: %w", err)
	}
	times, err := s.redis.Eval(ctx, createScript, []string{s.sessionKey(made.Digest)},
		user, strings.Join(roles, "\n"), ttl.Milliseconds(), tombstone.Milliseconds()).Int64Slice()
	if err != nil {
		return "", Session{}, fmt.Errorf("session: create: %w", err)
	}
	if len(times) != 2 {
		return "", Session{}, errors.New("session: create: the sessions of the user were revoked meanwhile")
	}
	made.Created, made.Expires = fromMillis(times[0]), fromMillis(times[1])
	return token, made, nil
}

// register puts a session into the list of all, and takes out what ended long ago.
func (s *Store) register(ctx context.Context, digest string, now int64, ttl time.Duration) error {
	_, err := s.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZAdd(ctx, s.registryKey(), redis.Z{Score: float64(now + ttl.Milliseconds()), Member: digest})
		pipe.ZRemRangeByScore(ctx, s.registryKey(), "-inf", strconv.FormatInt(now-tombstone.Milliseconds(), 10))
		return nil
	})
	return err
}

func newToken() string {
	var random [32]byte
	rand.Read(random[:]) // never fails: the process ends instead
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
