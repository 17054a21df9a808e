package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

const (
	maxBatch      = 256     // jobs per script call: Lua's unpack has its limits
	maxBatchBytes = 1 << 20 // and a script call must not hold Redis up for long
	rememberBatch = time.Hour
	batchTimeout  = 5 * time.Second
)

// An item is a job on its way into Redis.
type item struct {
	lane     *lane
	id       string
	key      string
	once     string
	onceFor  time.Duration
	deadline time.Time
	at       time.Time
	envelope []byte
	done     func(Receipt, error)
	state    itemState // guarded by lane.mu
}

type itemState uint8

const (
	waiting itemState = iota
	onTheWire
	takenBack
)

func newItem(j *Job, done func(Receipt, error)) *item {
	if j.ID == "" || j.Created.IsZero() {
		now := time.Now()
		or(&j.ID, newID(now))
		if j.Created.IsZero() {
			j.Created = now
		}
	}
	if j.Hops > 0 && j.Once == "" {
		j.Once = "id\x00" + j.ID
	}
	or(&j.OnceFor, onceFor)
	return &item{
		id: j.ID, key: j.Key, once: j.mark(), onceFor: j.OnceFor, deadline: j.Deadline, at: j.At, done: done,
		envelope: appendEnvelope(make([]byte, 0, 128+len(j.Message.Payload)+len(j.Message.Text)+len(j.Message.Extra)), j),
	}
}

// delay is how long the job is to wait from now on, in ms, or "".
func (it *item) delay() string {
	if it.at.IsZero() {
		return ""
	}
	return keepFor(time.Until(it.at))
}

// A lane leads to one partition of a queue, one inbox or the broadcasts. It holds a bounded number of jobs and has one batch on the wire at most, so
// batches are as large as the load makes them and an idle lane adds no delay. Its goroutine ends, and the
// lane is forgotten, when nothing waits.
type lane struct {
	b      *Broker
	tag    string
	queue  string // for metrics
	script *redisx.Script
	keys   []string
	limit  int64

	volatile bool // a batch is sent once and then forgotten

	mu      sync.Mutex
	items   []*item // those before head are gone
	head    int
	jobs    int // that wait and were not taken back
	bytes   int
	running bool
}

// producer is the key that remembers the last batch of this broker on this lane.
func (l *lane) producer() string { return l.tag + ":pr:" + l.b.cfg.Incarnation }

func (l *lane) put(it *item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jobs >= l.b.cfg.LaneJobs || l.bytes+len(it.envelope) > l.b.cfg.LaneBytes {
		return false
	}
	it.lane = l
	l.items = append(l.items, it)
	l.jobs++
	l.bytes += len(it.envelope)
	return true
}

// takeBack removes a job that has not left yet.
func (l *lane) takeBack(it *item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if it.state != waiting {
		return false
	}
	it.state = takenBack
	l.jobs--
	l.bytes -= len(it.envelope)
	it.envelope = nil
	return true
}

// start makes sure that the lane's goroutine runs. The caller holds b.mu, for reading at least; Run joins
// the goroutine.
func (l *lane) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running {
		l.running = true
		l.b.running.Go(l.run)
	}
}

func (l *lane) run() {
	for {
		batch := l.take()
		if len(batch) == 0 && l.end() {
			return
		}
		if len(batch) > 0 {
			l.flush(batch)
			runtime.Gosched() // those who heard of this batch join the next one
		}
	}
}

// end forgets the lane if it is still empty.
func (l *lane) end() bool {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head < len(l.items) {
		return false
	}
	delete(l.b.lanes, l.tag)
	return true
}

// take removes the next batch from the lane.
func (l *lane) take() []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []*item
	size := 0
	for l.head < len(l.items) && len(batch) < l.b.cfg.BatchJobs {
		it := l.items[l.head]
		if it.state == waiting {
			if len(batch) > 0 && size+len(it.envelope) > maxBatchBytes {
				break
			}
			it.state = onTheWire
			size += len(it.envelope)
			batch = append(batch, it)
			l.jobs--
		}
		l.items[l.head] = nil
		l.head++
	}
	l.bytes -= size
	if l.head*2 > len(l.items) {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	return batch
}

// flush sends a batch until Redis has answered, always under the same number, and tells the outcome.
func (l *lane) flush(batch []*item) {
	b := l.b
	batch = l.expire(batch)
	if len(batch) == 0 {
		return
	}
	if l.volatile {
		l.whisper(batch)
		return
	}
	args := make([]any, 0, 4+6*len(batch))
	args = append(args, b.number.Add(1), rememberBatch.Milliseconds(), l.limit, l.tag)
	for _, it := range batch {
		args = append(args, it.id, it.key, it.once, it.onceFor.Milliseconds(), it.delay(), it.envelope)
	}
	start, sent := time.Now(), false
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.wire, batchTimeout)
		answer, err := b.redis.Eval(ctx, l.script, l.keys, args...).Text()
		cancel()
		if err == nil {
			b.cfg.Metrics.Time("flush", l.queue, time.Since(start))
			l.tell(batch, answer)
			if _, known := b.noted.Load(l.queue); !known {
				b.running.Go(func() { b.note(b.wire, l.queue) }) // the next batch does not wait for it
			}
			return
		}
		if refusedByServer(err) {
			b.cfg.Metrics.Count("refused", l.queue, len(batch))
			tellAll(batch, fmt.Errorf("%w: %w", ErrRefused, err))
			return
		}
		sent = sent || !notSent(err)
		b.trouble(b.wire, err)
		if !pause(b.wire, delay/2+rand.N(delay)) {
			l.giveUp(batch, sent)
			return
		}
	}
}

// giveUp tells a batch that the broker ended.
func (l *lane) giveUp(batch []*item, sent bool) {
	if sent {
		l.b.cfg.Metrics.Count("unknown", l.queue, len(batch))
		tellAll(batch, ErrUnknown)
		return
	}
	tellAll(batch, fmt.Errorf("%w: the broker has ended", ErrRefused))
}

// expire refuses the jobs of a batch whose deadline has passed.
func (l *lane) expire(batch []*item) []*item {
	if l.b.wire.Err() != nil {
		l.giveUp(batch, false)
		return nil
	}
	live := batch[:0]
	var now time.Time
	for _, it := range batch {
		if !it.deadline.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			if now.After(it.deadline) {
				it.done(Receipt{}, fmt.Errorf("%w: its deadline has passed", ErrRefused))
				continue
			}
		}
		live = append(live, it)
	}
	return live
}

// tell hands out what the script answered; lane.lua describes it.
func (l *lane) tell(batch []*item, answer string) {
	if answer == "NOAGENT" {
		tellAll(batch, ErrNoAgent)
		return
	}
	refused, duplicates := 0, 0
	for i, it := range batch {
		exception, rest, ok := nextException(answer, i)
		answer = rest
		switch {
		case !ok:
			it.done(Receipt{ID: it.id}, nil)
		case exception == "":
			refused++
			it.done(Receipt{}, fmt.Errorf("%w: the queue is full", ErrRefused))
		default:
			duplicates++
			it.done(Receipt{ID: exception, Duplicate: true}, nil)
		}
	}
	l.b.cfg.Metrics.Count("stored", l.queue, len(batch)-refused-duplicates)
	if refused > 0 {
		l.b.cfg.Metrics.Count("refused", l.queue, refused)
	}
	if duplicates > 0 {
		l.b.cfg.Metrics.Count("duplicate", l.queue, duplicates)
	}
}

// nextException takes the exception about job i off the front of an answer: the id of the first job for a
// duplicate, "" for a refusal.
func nextException(answer string, i int) (id, rest string, ok bool) {
	if answer == "" {
		return "", "", false
	}
	end := strings.IndexAny(answer, ";:")
	if end < 1 || answer[1:end] != strconv.Itoa(i) {
		return "", answer, false
	}
	if answer[0] == 'F' {
		return "", answer[end+1:], true
	}
	size, id, _ := strings.Cut(answer[end+1:], ":")
	n, _ := strconv.Atoi(size)
	return id[:n], id[n:], true
}

func tellAll(batch []*item, err error) {
	for _, it := range batch {
		it.done(Receipt{}, err)
	}
}
