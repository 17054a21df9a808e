package router

import (
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrNoAgent is what a Carrier reports for an incarnation that is gone for good.
	ErrNoAgent = errors.New("router: no such agent")
	// ErrNotMember says that the user is not a member of the room. Nothing was stored.
	ErrNotMember = errors.New("router: not a member of the room")
	// ErrRefused says that the lane is full or the router has ended. Nothing was stored.
	ErrRefused = errors.New("router: refused, too much is waiting")
	// ErrUnavailable says that Redis could not be reached. Nothing was stored.
	ErrUnavailable = errors.New("router: the broker is unavailable, nothing was stored")
	// ErrUnknown says that the router ended before it learned whether the post was stored. The client
	// must be told neither yes nor no; it sends again with the same mark.
	ErrUnknown = errors.New("router: ended before the outcome was known")
	// ErrDetached says that the connection ended meanwhile.
	ErrDetached = errors.New("router: the connection is detached")
	// ErrSlow says that the connection took nothing of its replay for too long.
	ErrSlow = errors.New("router: the connection does not take its replay")
)

// notExecuted says whether a failed command certainly did nothing: Redis itself refused it, or it never
// left this process. Anything else (a time-out, a lost connection) may have been executed.
func notExecuted(err error) bool {
	var reply redis.Error
	if errors.As(err, &reply) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
