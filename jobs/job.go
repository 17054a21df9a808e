package jobs

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Job is one piece of work: a message and what the broker needs to know about it.
type Job struct {
	ID       string           // the same through retries and forwards; empty: the broker makes a time-ordered random one
	Key      string           // jobs of one key run one at a time, in order of confirmed enqueueing; empty: unordered
	Once     string           // idempotency key, among jobs of one destination and Key; empty: none. Not stored with the job
	OnceFor  time.Duration    // how long Once is remembered; 0 means 10 min
	Deadline time.Time        // a job that has not started by then is dropped; zero: none
	At       time.Time        // not before then, by the clock of the one who enqueues; zero: at once. Only for queues
	Priority int              // 0 to 3; a more urgent job of a queue goes first, but one read in 16 begins at the other end
	Message  *message.Message // what the handler gets

	ResultFor time.Duration // how long the job's end is kept for Broker.Wait; 0: it is not. At most 7 days

	// Volatile: at most once. The job is dropped instead of kept when its agent is away, when Redis does not
	// answer, and when WorkerConfig.Volatile does not take it. Only for SendTo, without Once.
	Volatile bool

	Attempt int       // failed attempts so far; set by the broker
	Hops    int       // how often an agent has passed it on; without Once a job with Hops is stored once per destination and ID
	Created time.Time // set by the broker when zero

	batch string // the batch that its end counts for
}

const (
	maxPriority  = 3
	maxName      = 4096 // bytes of an ID, a Key or a message's type
	maxResultFor = 7 * 24 * time.Hour
)

// awaited says whether somebody is told of the job's end.
func (j *Job) awaited() bool { return j.ResultFor > 0 || j.batch != "" }

// check says what is wrong with a job.
func (j *Job) check() error {
	switch {
	case j.Message == nil:
		return fmt.Errorf("%w: a job needs a message", ErrRefused)
	case j.Priority < 0 || j.Priority > maxPriority:
		return fmt.Errorf("%w: Priority %d: want 0 to %d", ErrRefused, j.Priority, maxPriority)
	case len(j.ID) > maxName || len(j.Key) > maxName || len(j.Message.Type) > maxName:
		return fmt.Errorf("%w: the ID, the Key or the message's type is longer than %d bytes", ErrRefused, maxName)
	case j.Volatile && j.Once != "":
		return fmt.Errorf("%w: Once is not for volatile jobs", ErrRefused)
	case j.ResultFor < 0 || j.ResultFor > maxResultFor:
		return fmt.Errorf("%w: ResultFor %v: want at most %v", ErrRefused, j.ResultFor, maxResultFor)
	}
	return nil
}

// mark is the name under which Once is remembered. It holds the key: jobs of different keys may share a
// partition or not, and must not be duplicates of each other by chance.
func (j *Job) mark() string {
	if j.Once == "" || j.Key == "" {
		return j.Once
	}
	return "k\x00" + strconv.Itoa(len(j.Key)) + ":" + j.Key + j.Once
}

// Receipt is what an accepted job got.
type Receipt struct {
	ID        string // of the job that is stored: with Duplicate, of the one that was stored first
	Duplicate bool   // a job with this Once was stored before; this one was not
}

// onceFor is how long an idempotency key is remembered unless the job says otherwise.
const onceFor = 10 * time.Minute

// maxEnvelope bounds a job in its stored form.
const maxEnvelope = 256 << 10

// NewIncarnation makes a name for one start of an agent: 16 hexadecimal digits.
func NewIncarnation() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, rand.Uint64()))
}

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newID makes 26 characters that sort by time: 48 bits of milliseconds, 80 random ones.
func newID(now time.Time) string {
	var b [18]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	binary.BigEndian.PutUint16(b[6:8], uint16(rand.Uint32()))
	binary.BigEndian.PutUint64(b[8:16], rand.Uint64())
	return idEncoding.EncodeToString(b[:16])
}
