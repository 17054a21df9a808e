package jobs

import (
	"context"
	"time"
)

// Info is what a handler may want to know about the job it runs, beside the message.
type Info struct {
	ID       string
	Attempt  int // 1 for the first
	Priority int
	Hops     int    // how often it was passed on
	Queue    string // empty for inboxes and broadcasts
	Key      string
	Created  time.Time
	Deadline time.Time
}

type infoKey struct{}

// InfoFrom gives the job of a handler's context.
func InfoFrom(ctx context.Context) (Info, bool) {
	if at, ok := ctx.Value(infoKey{}).(*whereabouts); ok {
		return at.info, true
	}
	return Info{}, false
}

// whereabouts is what a handler's context holds.
type whereabouts struct {
	info Info
	tx   *Tx
}

func withInfo(ctx context.Context, queue string, j *Job, tx *Tx) context.Context {
	return context.WithValue(ctx, infoKey{}, locate(queue, j, tx))
}

func locate(queue string, j *Job, tx *Tx) *whereabouts {
	return &whereabouts{tx: tx, info: Info{
		ID: j.ID, Attempt: j.Attempt + 1, Priority: j.Priority, Hops: j.Hops, Queue: queue, Key: j.Key, Created: j.Created, Deadline: j.Deadline,
	}}
}
