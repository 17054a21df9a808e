package zeromq

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

const (
	minReadBuffer = 2 << 10  // of an idle connection
	maxReadBuffer = 32 << 10 // of one that keeps filling it
	maxCommand    = 1 << 10  // PING, PONG, ERROR, SUBSCRIBE are all far below
	firstBody     = 64 << 10 // allocated on the word of a header; more only as the bytes arrive
	maxSlab       = 4 << 10
	maxFrameSlab  = 21 // frames: 512 bytes, up to which Go allocates pointers at the least price
)

// limits bounds what a peer may send. A message above message, up to twice that, is skipped and reported;
// everything else beyond a limit ends the connection.
type limits struct {
	frame, message int64
	parts          int
	command        int // bytes of a command; 0 means maxCommand
}

// decoder turns the bytes of one connection into messages. It is used by one goroutine.
//
// Small bodies of one batch share slabs of at most 4 KB, and messages that fit the read buffer lists of frames, so
// one that is kept holds about a read buffer of its neighbours at most; nothing handed out is ever reused.
type decoder struct {
	conn      io.Reader
	limits    limits
	opener    *curve.Opener // of frames that are sealed; nil: they travel as they are
	peer      *Peer
	onRead    func()                               // called after each read that brought bytes
	onCommand func(name string, data []byte) error // data is valid during the call
	forward   func(buf []byte) int                 // may take encoded messages from the front of buf; may be nil

	buf     []byte
	r, w    int
	starved bool // the last read filled the buffer

	// The message being assembled.
	parts    [][]byte
	count    int
	size     int64
	tooLarge bool

	// The frame being read when it is longer than the buffer, or skipped.
	body  []byte
	left  int64
	skip  bool
	more  bool
	flags byte // of its header, when it is sealed

	short  bool // of a message that will fit the buffer
	batch  []Message
	slab   []byte
	frames [][]byte
	err    error
}

// next blocks until at least one message is complete and returns all that the buffer holds. The slice is
// valid until the following call, the messages for ever.
func (d *decoder) next() ([]Message, error) {
	clear(d.batch)
	d.batch = d.batch[:0]
	for len(d.batch) == 0 {
		if d.err != nil {
			return nil, d.err
		}
		if d.err = d.decode(); d.err == nil && len(d.batch) == 0 {
			d.err = d.fill()
		}
	}
	return d.batch, nil
}

// decode consumes what is buffered.
func (d *decoder) decode() error {
	if d.forward != nil && d.count == 0 && d.left == 0 && d.opener == nil {
		d.r += d.forward(d.buf[d.r:d.w])
	}
	for {
		for d.whole() {
		}
		if d.short {
			return nil
		}
		if d.left > 0 {
			n := min(d.left, int64(d.w-d.r))
			if !d.skip {
				d.appendBody(d.buf[d.r : d.r+int(n)])
			}
			d.r += int(n)
			if d.left -= n; d.left > 0 {
				return nil
			}
			if err := d.endBody(); err != nil {
				return err
			}
		}
		h, n := parseHeader(d.buf[d.r:d.w])
		if n == 0 {
			return nil
		}
		if h.flags&^(flagMore|flagLong|flagCommand) != 0 {
			return fmt.Errorf("%w: reserved frame flags %#x", ErrProtocol, h.flags)
		}
		if d.opener != nil {
			wait, err := d.sealed(h, n)
			if err != nil || wait {
				return err
			}
			continue
		}
		if h.flags&flagCommand != 0 {
			done, err := d.command(h, n)
			if err != nil || !done {
				return err
			}
			continue
		}
		if err := d.check(h); err != nil {
			return err
		}
		size := int(h.size)
		whole := d.w-d.r-n >= size
		if !whole && n+size <= len(d.buf) && !d.exceeds(h) {
			return nil // fits the buffer: wait for the rest there
		}
		d.r += n
		d.begin(h)
		if size == 0 || (whole && !d.tooLarge) {
			d.endFrame(d.keep(d.buf[d.r : d.r+size]))
			d.r += size
			continue
		}
		d.left, d.skip = int64(size), d.tooLarge
		if !d.skip {
			d.body = make([]byte, 0, min(size, firstBody))
		}
	}
}

// whole takes a message that lies in the buffer to its end and keeps every limit, which almost all do. What it
// does not take is decoded frame by frame.
func (d *decoder) whole() bool {
	d.short = false
	if d.count > 0 || d.left > 0 || d.opener != nil {
		return false
	}
	m, ok := parseMessage(d.buf[d.r:d.w], d.limits)
	if !ok {
		// What is missing of a message of several frames is waited for if the buffer can hold it.
		d.short = m.frames > 0 && m.missing > 0 && m.wire+m.missing <= len(d.buf) && m.within(d.limits)
		return false
	}
	slab, frames := d.room(m)
	for range m.frames {
		h, n := parseHeader(d.buf[d.r:d.w])
		d.r += n
		at := len(slab)
		slab = append(slab, d.buf[d.r:d.r+int(h.size)]...)
		d.r += int(h.size)
		frames = append(frames, slab[at:len(slab):len(slab)])
	}
	d.batch = append(d.batch, Message{Peer: d.peer, Frames: frames})
	return true
}

// encodedMessage is what the headers say of a message that lies in a buffer.
type encodedMessage struct {
	wire, size, frames int // bytes with and without headers
	topic, topicEnd    int // its first frame
	missing            int // bytes of the frame that is not there to its end, as far as its header tells
}

// within reports whether the limits are kept, of those that a header can break.
func (m *encodedMessage) within(limits limits) bool {
	return int64(m.size+m.missing) <= min(limits.frame, limits.message) && m.frames < limits.parts
}

// parseMessage looks at the message at the start of b. It knows nothing of one that is not there to its end,
// is beyond a limit or has a command in it.
func parseMessage(b []byte, limits limits) (m encodedMessage, ok bool) {
	for more := byte(flagMore); more != 0; m.frames++ {
		h, n := parseHeader(b[m.wire:])
		if n == 0 {
			m.missing = 9
			return m, false
		}
		if h.flags&^(flagMore|flagLong) != 0 {
			return m, false
		}
		if h.size > uint64(len(b)-m.wire-n) {
			m.missing = n + int(min(h.size, math.MaxInt32))
			return m, false
		}
		if m.wire += n + int(h.size); m.frames == 0 {
			m.topic, m.topicEnd = n, m.wire
		}
		m.size += int(h.size)
		more = h.flags & flagMore
	}
	return m, int64(m.size) <= min(limits.frame, limits.message) && m.frames <= limits.parts
}

// room returns memory for the bodies and the list of frames of a message. It has just that room, and is a
// part of what several messages share.
func (d *decoder) room(m encodedMessage) ([]byte, [][]byte) {
	size, count := m.size, m.frames
	left := (d.w - d.r) / m.wire // messages like this one, at least itself
	if cap(d.frames)-len(d.frames) < count {
		d.frames = make([][]byte, 0, max(count, min(left*count, maxFrameSlab)))
	}
	at := len(d.frames)
	d.frames = d.frames[:at+count]
	frames := d.frames[at : at : at+count]
	if size > maxSlab/4 {
		return make([]byte, 0, size), frames
	}
	if d.slab == nil || cap(d.slab)-len(d.slab) < size {
		d.slab = make([]byte, 0, max(size, min(left*size, maxSlab/max(size, 1)*size)))
	}
	at = len(d.slab)
	d.slab = d.slab[:at+size]
	return d.slab[at : at : at+size], frames
}

// sealed handles a frame with a box around it, all of which must be there before anything in it is believed;
// so one too many is read before it is skipped. It reports that more has to be read.
func (d *decoder) sealed(h frameHeader, n int) (wait bool, err error) {
	size := int(min(h.size, math.MaxInt))
	if most := max(d.limits.frame, int64(d.maxCommand())); h.size > uint64(most+int64(curve.Overhead)) {
		return false, fmt.Errorf("%w: sealed frame of %d bytes", ErrLimit, h.size)
	}
	switch body := d.r + n; {
	case d.w-body >= size:
		d.r = body + size
		return false, d.open(h.flags, d.buf[body:d.r], false)
	case n+size <= len(d.buf):
		return true, nil // fits the buffer: wait for the rest there
	default:
		d.r = body
		d.left, d.skip, d.flags = int64(size), false, h.flags
		d.body = make([]byte, 0, min(size, firstBody+curve.Overhead))
		return false, nil
	}
}

// open opens a sealed frame where it lies, in memory that is its own or in the buffer.
func (d *decoder) open(flags byte, box []byte, own bool) error {
	flags, body, err := d.opener.Open(flags, box)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	h := frameHeader{flags, uint64(len(body))}
	if flags&flagCommand != 0 {
		return d.obey(h, body)
	}
	if err := d.check(h); err != nil {
		return err
	}
	d.begin(h)
	if !own && !d.tooLarge {
		body = d.keep(body)
	}
	d.endFrame(body)
	return nil
}

// endBody ends a long frame.
func (d *decoder) endBody() error {
	body := d.body
	d.body = nil
	if d.opener != nil {
		return d.open(d.flags, body, true)
	}
	d.endFrame(body)
	return nil
}

// check refuses a message frame by its header alone, before a byte is allocated for it.
func (d *decoder) check(h frameHeader) error {
	switch {
	case h.size > uint64(d.limits.frame):
		return fmt.Errorf("%w: frame of %d bytes", ErrLimit, h.size)
	case d.size+int64(h.size) > 2*d.limits.message:
		return fmt.Errorf("%w: message of %d bytes and more", ErrLimit, d.size+int64(h.size))
	case d.count >= d.limits.parts:
		return fmt.Errorf("%w: more than %d frames in a message", ErrLimit, d.limits.parts)
	}
	return nil
}

func (d *decoder) exceeds(h frameHeader) bool {
	return d.tooLarge || d.size+int64(h.size) > d.limits.message
}

// begin counts a frame whose header has been consumed.
func (d *decoder) begin(h frameHeader) {
	if d.exceeds(h) {
		d.tooLarge = true
		clear(d.parts)
		d.parts = d.parts[:0]
	}
	d.count++
	d.size += int64(h.size)
	d.more = h.flags&flagMore != 0
}

func (d *decoder) endFrame(body []byte) {
	if !d.tooLarge {
		d.parts = append(d.parts, body)
	}
	if d.more {
		return
	}
	m := Message{Peer: d.peer, TooLarge: d.tooLarge}
	if !d.tooLarge {
		if d.size > maxReadBuffer { // a short message that is kept must not keep this one
			m.Frames = slices.Clone(d.parts)
		} else {
			m.Frames = d.keepFrames(d.parts)
		}
	}
	d.batch = append(d.batch, m)
	clear(d.parts)
	d.parts, d.count, d.size, d.tooLarge = d.parts[:0], 0, 0, false
}

// command handles a command frame. One may stand between the frames of a message: libzmq heartbeats do.
func (d *decoder) command(h frameHeader, n int) (done bool, err error) {
	if err := d.checkCommand(h); err != nil {
		return false, err
	}
	size := int(h.size)
	if d.w-d.r < n+size {
		d.reserve(n + size)
		return false, nil
	}
	body := d.buf[d.r+n : d.r+n+size]
	d.r += n + size
	return true, d.obey(h, body)
}

func (d *decoder) maxCommand() int { return max(d.limits.command, maxCommand) }

func (d *decoder) checkCommand(h frameHeader) error {
	if h.flags&flagMore != 0 || h.size > uint64(d.maxCommand()) {
		return fmt.Errorf("%w: command with flags %#x of %d bytes", ErrProtocol, h.flags, h.size)
	}
	return nil
}

// obey handles a command that is there.
func (d *decoder) obey(h frameHeader, body []byte) error {
	if err := d.checkCommand(h); err != nil {
		return err
	}
	name, data, ok := parseCommand(body)
	if !ok {
		return fmt.Errorf("%w: malformed command", ErrProtocol)
	}
	return d.onCommand(name, data)
}

// reserve makes the buffer large enough for a command of n bytes.
func (d *decoder) reserve(n int) {
	if n > len(d.buf) {
		grown := make([]byte, n)
		d.w, d.r = copy(grown, d.buf[d.r:d.w]), 0
		d.buf = grown
	}
}

// keep copies a body out of the read buffer.
func (d *decoder) keep(b []byte) []byte {
	if len(b) == 0 {
		return []byte{}
	}
	if len(b) > maxSlab/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	if cap(d.slab)-len(d.slab) < len(b) {
		// Never more than what has arrived: a lone small message allocates its own size.
		d.slab = make([]byte, 0, max(len(b), min(d.w-d.r, maxSlab)))
	}
	at := len(d.slab)
	d.slab = append(d.slab, b...)
	return d.slab[at:len(d.slab):len(d.slab)]
}

// keepFrames copies the slice of frames, several messages of a batch to one allocation.
func (d *decoder) keepFrames(parts [][]byte) [][]byte {
	if cap(d.frames)-len(d.frames) < len(parts) {
		d.frames = make([][]byte, 0, len(parts)*min(1+2*len(d.batch), 64))
	}
	at := len(d.frames)
	d.frames = append(d.frames, parts...)
	return d.frames[at:len(d.frames):len(d.frames)]
}

// appendBody grows the body of a long frame by what has arrived, at most doubling it.
func (d *decoder) appendBody(b []byte) {
	if need := len(d.body) + len(b); need > cap(d.body) {
		d.growBody(need)
	}
	d.body = append(d.body, b...)
}

func (d *decoder) growBody(need int) {
	total := int64(len(d.body)) + d.left
	grown := make([]byte, len(d.body), min(total, int64(max(need, 2*cap(d.body)))))
	copy(grown, d.body)
	d.body = grown
}

// fill reads once. A long body is read where it will stay.
func (d *decoder) fill() error {
	if d.left > 0 && !d.skip {
		return d.fillBody()
	}
	d.slab, d.frames = nil, nil // what is left over would be kept alive by an idle connection
	if d.r == d.w {
		d.r, d.w = 0, 0
		if d.starved && len(d.buf) < maxReadBuffer {
			d.buf, d.starved = make([]byte, 2*len(d.buf)), false
		}
	} else if d.r > 0 {
		d.w = copy(d.buf, d.buf[d.r:d.w])
		d.r = 0
	}
	n, err := d.conn.Read(d.buf[d.w:])
	d.w += n
	if n > 0 {
		d.starved = d.w == len(d.buf)
		d.onRead()
		return nil // an error, if any, comes again
	}
	return err
}

func (d *decoder) fillBody() error {
	if len(d.body) == cap(d.body) {
		d.growBody(len(d.body) + 1)
	}
	n, err := d.conn.Read(d.body[len(d.body):cap(d.body)])
	if n == 0 {
		return err
	}
	d.onRead()
	d.body = d.body[:len(d.body)+n]
	if d.left -= int64(n); d.left == 0 {
		return d.endBody()
	}
	return nil
}

// peek returns the next n bytes, n at most minReadBuffer, without consuming them.
func (d *decoder) peek(n int) ([]byte, error) {
	for d.w-d.r < n {
		if err := d.fill(); err != nil {
			if errors.Is(err, io.EOF) && d.w > d.r {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return d.buf[d.r : d.r+n], nil
}

// read fills p, first from the buffer.
func (d *decoder) read(p []byte) error {
	n := copy(p, d.buf[d.r:d.w])
	d.r += n
	_, err := io.ReadFull(d.conn, p[n:])
	return err
}
