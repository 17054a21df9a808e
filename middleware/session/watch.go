package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Revocation is the end of a session before its time.
type Revocation struct{ Digest, User string }

// Watcher is what Watch calls, one call at a time, on the goroutine that called Watch. While a call lasts,
// revocations wait in Redis.
type Watcher struct {
	Ready   func()           // may be nil. Every revocation that begins after Ready was called is told
	Revoked func(Revocation) // required. Told in order; a revocation repeated by its caller is told again
	Resync  func()           // required. Revocations were missed: drop every verdict held so far
}

const (
	watchBlock  = time.Second           // how long one read waits; how late Watch notices that ctx has ended
	watchBatch  = 256                   // revocations a read
	retryAtOnce = 20 * time.Millisecond // first pause after an error; doubles up to retryAtMost
	retryAtMost = time.Second
)

// Watch calls w for every revocation anywhere in the mesh, from now on, until ctx ends; then it returns
// nil. It reads on from where it was after Redis has been away, so nothing is skipped; when Redis no longer
// holds that place (too much happened meanwhile, or Redis has lost data), it calls Resync. It returns an
// error only when Redis refuses the reads for good.
func (s *Store) Watch(ctx context.Context, w Watcher) error {
	if w.Revoked == nil || w.Resync == nil {
		return errors.New("session: Watcher.Revoked and Watcher.Resync are required")
	}
	watch := watch{store: s, pause: retryAtOnce}
	for ctx.Err() == nil {
		err := watch.step(ctx, w)
		if err == nil {
			watch.recovered(ctx)
			continue
		}
		if refused(err) {
			return fmt.Errorf("session: watch: %w", err)
		}
		watch.wait(ctx, err)
	}
	return nil
}

// watch is the state of one Watch: its cursor is a private place in the stream of revocations.
type watch struct {
	store  *Store
	cursor string // an entry that was in the stream; empty: not begun
	ready  bool
	pause  time.Duration // after the next error
	down   bool
}

func (w *watch) step(ctx context.Context, to Watcher) error {
	if w.cursor == "" {
		cursor, err := w.store.lastRevocation(ctx)
		if err != nil {
			return err
		}
		w.cursor = cursor
		switch {
		case w.ready:
			to.Resync()
		case to.Ready != nil:
			to.Ready()
		}
		w.ready = true
	}
	entries, held, err := w.store.revocationsAfter(ctx, w.cursor)
	if err != nil {
		return err
	}
	for _, e := range entries {
		w.cursor = e.ID
		if digest, _ := e.Values["d"].(string); digest != "" {
			user, _ := e.Values["u"].(string)
			to.Revoked(Revocation{Digest: digest, User: user})
		}
	}
	if !held {
		w.cursor = ""
	}
	return nil
}

// lastRevocation returns the id of the last entry of the stream. An empty stream gets an entry that means
// nothing, so that the place of a watcher is always one that Redis can be asked for.
func (s *Store) lastRevocation(ctx context.Context) (string, error) {
	last, err := s.redis.XRevRangeN(ctx, s.revocationsKey(), "+", "-", 1).Result()
	if err != nil {
		return "", err
	}
	if len(last) == 1 {
		return last[0].ID, nil
	}
	return s.redis.XAdd(ctx, &redis.XAddArgs{Stream: s.revocationsKey(), Values: []string{"d", ""}}).Result()
}

// revocationsAfter waits for entries after cursor. The entry at cursor is looked up in the same round trip,
// after the read: the stream loses its oldest entries first, so while that one is there, nothing between it
// and what was read is missing.
func (s *Store) revocationsAfter(ctx context.Context, cursor string) (entries []redis.XMessage, held bool, err error) {
	pipe := s.redis.Blocking.Pipeline()
	read := pipe.XRead(ctx, &redis.XReadArgs{Streams: []string{s.revocationsKey(), cursor}, Count: watchBatch, Block: watchBlock})
	at := pipe.XRange(ctx, s.revocationsKey(), cursor, cursor)
	_, _ = pipe.Exec(ctx) // each command carries its own error
	if err := read.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return nil, false, err
	}
	if err := at.Err(); err != nil {
		return nil, false, err
	}
	for _, stream := range read.Val() {
		entries = append(entries, stream.Messages...)
	}
	return entries, len(at.Val()) == 1, nil
}

func (w *watch) wait(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if !w.down {
		w.down = true
		w.store.config.Logger.WarnContext(ctx, "revocations cannot be read, trying again", "error", err)
	}
	w.store.redis.ReloadTopology(ctx)
	timer := time.NewTimer(w.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	w.pause = min(2*w.pause, retryAtMost)
}

func (w *watch) recovered(ctx context.Context) {
	w.pause = retryAtOnce
	if w.down {
		w.down = false
		w.store.config.Logger.InfoContext(ctx, "revocations are read again")
	}
}

// refused tells the answers that trying again does not change.
func refused(err error) bool {
	for _, prefix := range []string{"NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}
