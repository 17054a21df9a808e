package message

import "sync"

// Result is what a handler's work left behind in the broker, for the Ack.
type Result struct {
	Seq   int64  // position of a room message in its history; 0 means none
	Epoch string // the life of that history
}

// Pending is the error of a Handler whose work goes on after Handle has returned. It is what lets one
// client's messages be on their way to Redis by the hundred, in order, without a goroutine for each.
type Pending struct {
	mu      sync.Mutex
	settled bool
	result  Result
	err     error
	then    func(Result, error)
}

// Error tells a caller who knows nothing of Pending what happened.
func (p *Pending) Error() string { return "message: the work is still going on" }

// Done settles p. Only the first call counts. It runs the function given to Settle, if any, before it
// returns, so it must not be called with a lock held that this function takes too.
func (p *Pending) Done(r Result, err error) {
	p.mu.Lock()
	if p.settled {
		p.mu.Unlock()
		return
	}
	p.settled, p.result, p.err = true, r, err
	then := p.then
	p.mu.Unlock()
	if then != nil {
		then(r, err)
	}
}

// Settle calls done exactly once with the outcome of a handler that returned err: at once, or when the
// work ends if err is a *Pending. At most one caller may settle a Pending.
func Settle(err error, done func(Result, error)) {
	p, ok := err.(*Pending)
	if !ok {
		done(Result{}, err)
		return
	}
	p.mu.Lock()
	if !p.settled {
		p.then = done
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	done(p.result, p.err)
}
