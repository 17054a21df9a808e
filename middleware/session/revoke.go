package session

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Revoke ends the session of a token. See RevokeDigest.
func (s *Store) Revoke(ctx context.Context, token string) (bool, error) {
	if token == "" || len(token) > maxToken {
		return false, nil
	}
	return s.RevokeDigest(ctx, Digest(token))
}

// RevokeDigest ends a session: no Verify that starts after it returns finds it valid, and every Watch is
// told. It returns false when there was no live session of that digest. After an error the session may have
// ended without the others being told; calling it again tells them.
func (s *Store) RevokeDigest(ctx context.Context, digest string) (bool, error) {
	if !isDigest(digest) {
		return false, nil
	}
	n, err := s.revoke(ctx, []string{digest}, "")
	return n == 1, err
}

// RevokeUser ends all sessions of a user, those that are being made at this moment too, and returns how
// many were live. After an error calling it again does the rest.
func (s *Store) RevokeUser(ctx context.Context, user string) (int, error) {
	if err := checkUser(user); err != nil {
		return 0, err
	}
	digests, err := s.redis.ZRange(ctx, s.userKey(user), 0, -1).Result()
	if err != nil {
		return 0, fmt.Errorf("session: revoke: %w", err)
	}
	total := 0
	for part := range slices.Chunk(digests, portion) {
		n, err := s.revoke(ctx, part, user)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// revoke ends sessions, tells every Watch, then tidies the indexes. A user that is not empty is the one
// whose index named the digests.
func (s *Store) revoke(ctx context.Context, digests []string, user string) (int, error) {
	calls := make([]redisx.Call, len(digests))
	for i, d := range digests {
		calls[i] = redisx.Call{Script: revokeScript, Keys: []string{s.sessionKey(d)}, Args: []any{tombstone.Milliseconds(), user}}
	}
	var ended []ending
	live := 0
	var failed error
	for i, cmd := range s.redis.EvalAll(ctx, calls) {
		reply, err := cmd.StringSlice()
		if err != nil || len(reply) != 3 {
			failed = fmt.Errorf("session: revoke: %w", orRecord(err))
			continue
		}
		switch reply[0] {
		case "revoked":
			live++
			ended = append(ended, ending{digests[i], reply[1], reply[2]})
		case "again": // whoever revoked it may have been stopped before telling
			ended = append(ended, ending{digests[i], reply[1], reply[2]})
		}
	}
	if len(ended) > 0 {
		if err := s.tell(ctx, ended); err != nil {
			return live, fmt.Errorf("session: revoke: %w", err)
		}
	}
	return live, failed
}

func orRecord(err error) error {
	if err == nil {
		return errRecord
	}
	return err
}

// ending is a session that was revoked, and the time of Redis (ms) by then.
type ending struct{ digest, user, at string }

// tell appends endings to the stream, takes them out of the index of their user and lets the list of all
// forget them in time. What an error leaves in an index does no harm: it names a tombstone.
func (s *Store) tell(ctx context.Context, ended []ending) error {
	told := make([]*redis.StringCmd, len(ended))
	pipe := s.redis.Pipeline()
	for i, e := range ended {
		told[i] = pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: s.revocationsKey(), MaxLen: int64(s.config.Revocations), Approx: true,
			Values: []string{"d", e.digest, "u", e.user},
		})
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	for _, cmd := range told {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	_, _ = s.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, e := range ended {
			at, _ := strconv.ParseFloat(e.at, 64)
			pipe.ZRem(ctx, s.userKey(e.user), e.digest)
			pipe.ZAddXX(ctx, s.registryKey(), redis.Z{Score: at, Member: e.digest})
		}
		return nil
	})
	return nil
}
