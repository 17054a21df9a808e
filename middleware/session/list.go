package session

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// List goes through all sessions, those soonest to expire first, with those that ended less than 24 hours
// before. It asks Redis page by page, so a million sessions cost neither the agent nor Redis a long breath.
// A session that is made or ends meanwhile may or may not be in it. An error ends it.
func (s *Store) List(ctx context.Context) iter.Seq2[Verdict, error] {
	return s.list(ctx, s.registryKey())
}

// ListUser goes through the sessions of one user as List does, without the revoked ones.
func (s *Store) ListUser(ctx context.Context, user string) iter.Seq2[Verdict, error] {
	return s.list(ctx, s.userKey(user))
}

func (s *Store) list(ctx context.Context, key string) iter.Seq2[Verdict, error] {
	return func(yield func(Verdict, error) bool) {
		from := place{score: "-inf"}
		for {
			digests, next, err := s.page(ctx, key, from)
			if err == nil && len(digests) == 0 {
				return
			}
			var verdicts []Verdict
			if err == nil {
				verdicts, err = s.VerifyAll(ctx, digests)
			}
			if err != nil {
				yield(Verdict{}, fmt.Errorf("session: list: %w", err))
				return
			}
			for _, v := range verdicts {
				if v.Reason != Invalid && !yield(v, nil) {
					return
				}
			}
			from = next
		}
	}
}

// place is where a page begins: at a score, after the members of that score that were seen already.
type place struct {
	score string
	seen  int64
}

func (s *Store) page(ctx context.Context, key string, from place) ([]string, place, error) {
	members, err := s.redis.ZRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{
		Min: from.score, Max: "+inf", Offset: from.seen, Count: page,
	}).Result()
	if err != nil || len(members) == 0 {
		return nil, from, err
	}
	digests := make([]string, len(members))
	for i, m := range members {
		digests[i], _ = m.Member.(string)
	}
	last := members[len(members)-1].Score
	next := place{score: strconv.FormatFloat(last, 'f', -1, 64)}
	for _, m := range slices.Backward(members) {
		if m.Score != last {
			return digests, next, nil
		}
		next.seen++
	}
	if next.score == from.score { // the whole page is of the score where the one before ended
		next.seen += from.seen
	}
	return digests, next, nil
}
