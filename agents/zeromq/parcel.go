package zeromq

import (
	"sync"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

const (
	bufferCap      = 32 << 10
	smallBufferCap = 4 << 10
	// maxCopied is how long a message may be, on the wire, to be encoded when it is queued. A longer one is
	// kept as it was given and written from where it lies.
	maxCopied = 8 << 10
)

// buffers are those that the queues of one socket share: large ones for peers that are being written to,
// small ones for the first messages of an idle one, so that a word to a crowd takes little.
type buffers struct{ large, small sync.Pool }

func (b *buffers) get(size int, busy bool) *[]byte {
	pool, capacity := &b.small, smallBufferCap
	if busy || size > smallBufferCap {
		pool, capacity = &b.large, bufferCap
	}
	if p, ok := pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, 0, capacity)
	return &p
}

func (b *buffers) put(p *[]byte) {
	*p = (*p)[:0]
	if cap(*p) == smallBufferCap {
		b.small.Put(p)
		return
	}
	b.large.Put(p)
}

// parcel is a piece of a queue: whole messages, encoded, or one long message as it was given.
type parcel struct {
	encoded *[]byte // of buffers
	from    int     // what lies before has been written
	frames  [][]byte
	count   int
	size    int // on the wire, not sealed
}

func (p *parcel) bytes() []byte { return (*p.encoded)[p.from:] }

// takes reports whether so many bytes fit behind what is there.
func (p *parcel) takes(size int) bool {
	return p.encoded != nil && cap(*p.encoded)-len(*p.encoded) >= size
}

// each calls f with every frame, until it returns false.
func (p *parcel) each(f func(flags byte, body []byte) bool) {
	if p.encoded == nil {
		for i, body := range p.frames {
			if !f(moreFlag(i, p.frames), body) {
				return
			}
		}
		return
	}
	for b := p.bytes(); len(b) > 0; {
		h, n := parseHeader(b)
		end := n + int(h.size)
		if !f(h.flags&flagMore, b[n:end]) {
			return
		}
		b = b[end:]
	}
}

// split tells how many messages have left when so many bytes of the parcel, sealed or not, have been
// written, and how many bytes those are unsealed.
func (p *parcel) split(written int64, sealed bool) (count, size int) {
	at := 0
	p.each(func(flags byte, body []byte) bool {
		plain := headerSize(len(body)) + len(body)
		at += plain
		if written -= int64(plain); sealed {
			written -= int64(curve.SealedSize(len(body)) - plain)
		}
		if written < 0 {
			return false
		}
		if flags&flagMore == 0 {
			count++
			size = at
		}
		return true
	})
	return count, size
}

func appendMessage(dst []byte, frames [][]byte) []byte {
	for i, body := range frames {
		dst = append(appendHeader(dst, moreFlag(i, frames), len(body)), body...)
	}
	return dst
}

func moreFlag(i int, frames [][]byte) byte {
	if i < len(frames)-1 {
		return flagMore
	}
	return 0
}
