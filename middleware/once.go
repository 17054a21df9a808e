package middleware

import (
	"context"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Claims remembers which keys have been claimed. OnceMemory and OnceRedis are two.
type Claims interface {
	// Claim reports whether this is the first claim of key since it was released or forgotten.
	Claim(ctx context.Context, key string) (first bool, err error)
	// Release gives a claim back.
	Release(ctx context.Context, key string) error
}

// releaseWithin is the time that giving a claim back may take, also when the work's own context has ended.
const releaseWithin = 3 * time.Second

// Once handles each message once: one whose key is claimed already is done without being handled. For a job
// the key is best its id; nil means BySender. An empty key is always handled. Where claims cannot be asked,
// the message fails, to be tried again.
//
// Work that fails or panics gives its claim back, so that it can be tried again. Where the process dies, or
// the broker's answer to a claim is lost, the claim stays: with claims outside the process a message is
// handled at most once. A message that comes while the same one is in work counts as done.
func Once(claims Claims, key func(context.Context, *message.Message) string) message.Middleware {
	if key == nil {
		key = BySender
	}
	return func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			k := key(ctx, m)
			if k == "" {
				return next.Handle(ctx, m)
			}
			first, err := claims.Claim(ctx, k)
			if err != nil || !first {
				return err
			}
			returned := false
			defer func() {
				if !returned { // it panics
					release(ctx, claims, k)
				}
			}()
			err = next.Handle(ctx, m)
			returned = true
			return outcome(err, func(err error) {
				if err != nil {
					release(ctx, claims, k)
				}
			})
		})
	}
}

// release gives a claim back. If it cannot, the claim stays until it is forgotten: once too few, not twice.
func release(ctx context.Context, claims Claims, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
	defer cancel()
	_ = claims.Release(ctx, key)
}

// BySender is the key of a message by its sender and the id he gave it; none if he gave none.
func BySender(_ context.Context, m *message.Message) string {
	if m.ID == "" {
		return ""
	}
	return m.From.ID + "\x00" + m.ID
}
