package jobs

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a caller may branch on. All are found with errors.Is.
var (
	// ErrRefused: the job is certainly not stored. The lane or the queue is full, Redis has no memory
	// left, the broker is closed, or the context ended before the job was on its way.
	ErrRefused = errors.New("jobs: refused")
	// ErrNoAgent: the inbox does not exist, or its owner is dead. The job is not stored.
	ErrNoAgent = errors.New("jobs: no such agent")
	// ErrUnknown: the job was on its way when the context or the broker ended; it may be stored.
	ErrUnknown = errors.New("jobs: outcome unknown")
)

var (
	errLeaseLost = errors.New("jobs: the lease was lost, another worker has the job")
	errCancelled = errors.New("jobs: the job was cancelled")
	errStopping  = errors.New("jobs: the worker is stopping")
)

// permanentError marks an error after which a job is not tried again.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent wraps a handler's error: the job is not tried again but becomes a dead letter.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// retryError carries the delay that a handler asked for.
type retryError struct {
	err   error
	after time.Duration
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// RetryAfter wraps a handler's error: the next attempt follows after d instead of the usual backoff.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryError{err, d}
}

// snoozeError is what Snooze returns.
type snoozeError struct{ after time.Duration }

func (e *snoozeError) Error() string { return "jobs: snoozed for " + e.after.String() }

// Snooze is what a handler returns to be called again for the same job after d: not a failure, and not
// counted as an attempt. A key stays blocked meanwhile.
func Snooze(d time.Duration) error { return &snoozeError{max(0, d)} }

// refusedByServer tells errors with which Redis has refused a script as a whole from those after which
// it must be sent again.
func refusedByServer(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) || errors.Is(err, redis.Nil) {
		return false
	}
	return !passing(err)
}

// passing says that a reply speaks of the server's state and not of the command: nothing was executed,
// and the same command may work a moment later.
func passing(err error) bool {
	text := err.Error()
	for _, p := range [...]string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY ", "NOREPLICAS", "NOSCRIPT", "UNBLOCKED", "MISCONF"} {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return strings.Contains(text, "max number of clients") || strings.Contains(text, "server closed")
}

// notSent says that a command has certainly not reached Redis.
func notSent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	return errors.Is(err, redis.ErrPoolTimeout) || passing(err)
}

func isNoGroup(err error) bool { return err != nil && strings.Contains(err.Error(), "NOGROUP") }

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func isOOM(err error) bool {
	return err != nil && strings.Contains(err.Error(), "OOM command not allowed")
}
