package jobs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// envelopeVersion is the first byte of a stored job. A reader refuses versions it does not know.
const envelopeVersion = 2

var errEnvelope = errors.New("jobs: malformed envelope")

// appendEnvelope appends j in its stored form: the version, the priority as a digit, 1 when somebody waits
// for the job's end or else 0; then the message's type, id, how long a result is kept in milliseconds as
// text, batch and key (each a uvarint length and its bytes), attempt, hops, created and deadline (uvarints,
// milliseconds), then the message. Scripts read all up to the batch.
func appendEnvelope(dst []byte, j *Job) []byte {
	dst = append(dst, envelopeVersion, '0'+byte(j.Priority), '0')
	if j.awaited() {
		dst[len(dst)-1] = '1'
	}
	for _, s := range [...]string{j.Message.Type, j.ID, keepFor(j.ResultFor), j.batch, j.Key} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	for _, n := range [...]uint64{uint64(j.Attempt), uint64(j.Hops), millis(j.Created), millis(j.Deadline)} {
		dst = binary.AppendUvarint(dst, n)
	}
	return j.Message.AppendBinary(dst)
}

// parseEnvelope reads what appendEnvelope wrote. Nothing of it shares data's memory.
func parseEnvelope(data []byte) (Job, error) {
	if len(data) < 3 || data[0] != envelopeVersion || data[1] < '0' || data[1] > '0'+maxPriority {
		return Job{}, errEnvelope
	}
	rest := data[3:]
	var text [5]string
	for i := range text { // the first is the message's too
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return Job{}, errEnvelope
		}
		if i > 0 {
			text[i] = string(rest[size : size+int(n)])
		}
		rest = rest[size+int(n):]
	}
	var number [4]uint64
	for i := range number {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > 1<<53 {
			return Job{}, errEnvelope
		}
		number[i] = n
		rest = rest[size:]
	}
	m, err := message.ParseBinary(rest)
	if err != nil {
		return Job{}, errEnvelope
	}
	m.Payload, m.Extra = bytes.Clone(m.Payload), bytes.Clone(m.Extra) // handlers may change them
	return Job{
		ID: text[1], ResultFor: kept(text[2]), batch: text[3], Key: text[4], Priority: int(data[1] - '0'), Message: m,
		Attempt: int(number[0]), Hops: int(number[1]), Created: instant(number[2]), Deadline: instant(number[3]),
	}, nil
}

// keepFor writes a time to live for scripts: empty for none.
func keepFor(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}

func kept(text string) time.Duration {
	if text == "" {
		return 0
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= 0 || ms > int64(maxResultFor/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// millis gives 0 for the zero time, which is not its Unix time.
func millis(t time.Time) uint64 {
	if t.IsZero() || t.UnixMilli() < 0 {
		return 0
	}
	return uint64(t.UnixMilli())
}

func instant(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
