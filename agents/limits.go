package agents

import (
	"context"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
)

// limits bound how fast one user may send: anything, and to everyone; and one connection, whoever is behind it.
// Each may be nil.
type limits struct{ all, global, conn *middleware.RateLimit }

func newLimits(c *Config) (l limits, err error) {
	if c.Rate > 0 {
		l.all, err = middleware.NewRateLimit(middleware.RateLimitConfig{
			PerSecond: c.Rate, Burst: c.Burst, Strikes: c.Strikes, Exceeded: tooOften,
		})
	}
	if err == nil && c.GlobalRate > 0 {
		l.global, err = middleware.NewRateLimit(middleware.RateLimitConfig{
			PerSecond: c.GlobalRate, Burst: c.GlobalBurst, Strikes: c.Strikes, Exceeded: tooOften,
		})
	}
	if err == nil && c.ConnRate > 0 {
		l.conn, err = middleware.NewRateLimit(middleware.RateLimitConfig{
			PerSecond: c.ConnRate, Burst: c.ConnBurst, Strikes: c.Strikes, Exceeded: tooOften,
		})
	}
	return l, err
}

// connection takes what a message costs its connection. That comes before its session is looked up, so that one
// without a session, or with many, costs Redis no more.
func (l limits) connection(ctx context.Context, c *client, m *message.Message) *message.Error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Allow(context.WithValue(ctx, senderKey{}, c), c.name, m)
	if err == nil {
		return nil
	}
	refused, _ := err.(*message.Error) // Allow promises one
	refused.Ref = m.ID
	return refused
}

type senderKey struct{}

// tooOften closes the connection of a user who has been refused again and again.
func tooOften(ctx context.Context, _ string, _ *message.Message) {
	if c, ok := ctx.Value(senderKey{}).(*client); ok {
		c.drop(closeRate, "rate limit, repeatedly")
	}
}

// allow takes what an admitted request costs its user.
func (l limits) allow(ctx context.Context, c *client, r request) error {
	global := r.m.Type == message.GlobalMessage && l.global != nil
	if l.all == nil && !global {
		return nil
	}
	ctx = context.WithValue(ctx, senderKey{}, c)
	user := r.verdict.Session.User
	if l.all != nil {
		if err := l.all.Allow(ctx, user, r.m); err != nil {
			return err
		}
	}
	if global {
		return l.global.Allow(ctx, user, r.m)
	}
	return nil
}
