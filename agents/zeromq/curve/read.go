package curve

import (
	"errors"
	"fmt"
	"io"
)

const (
	minBuffer = 4 << 10  // of an idle connection
	maxBuffer = 64 << 10 // of one that keeps filling it
	firstBody = 64 << 10 // allocated on the word of a header; more only as the bytes arrive
)

// reader makes a NULL stream of what the peer sends. Frames are opened where they were read; a plain header is
// written over the part of the box that is no longer needed, so Read copies each byte once.
type reader struct {
	max     int // bytes of a frame's body
	begun   bool
	plain   []byte // of the stream, ready to be read
	buf     []byte
	r, w    int
	starved bool   // the last read filled the buffer
	body    []byte // of a frame longer than the buffer, after room for a header
	left    int    // what is missing of it
	flags   byte   // of its header
	err     error
}

// Read reads the NULL stream: a greeting and READY with the peer's metadata first, then its frames.
func (c *Conn) Read(p []byte) (int, error) {
	if c.opener == nil {
		return 0, errNoHandshake
	}
	d := &c.in
	if !d.begun {
		d.begun = true
		d.plain = appendCommand(greeting("NULL", c.minor), c.metadata.Append([]byte(readyName)))
	}
	n := 0
	for n < len(p) {
		if len(d.plain) > 0 {
			m := copy(p[n:], d.plain)
			n, d.plain = n+m, d.plain[m:]
			continue
		}
		d.plain = nil // which may have been long
		if d.err == nil {
			d.plain, d.err = d.frame(c.opener)
		}
		if len(d.plain) > 0 {
			continue
		}
		if n > 0 {
			break // an error comes again
		}
		if d.err != nil {
			return 0, d.err
		}
		if err := d.fill(c.Conn); err != nil {
			return 0, err // it may be a deadline, after which reading goes on
		}
	}
	return n, nil
}

// frame opens the next frame; it returns nothing when more must be read.
func (d *reader) frame(o *Opener) ([]byte, error) {
	if d.body != nil {
		if d.left > 0 {
			return nil, nil
		}
		body := d.body
		d.body = nil
		return d.open(o, d.flags, body, maxHeader)
	}
	flags, size, n := parseHeader(d.buf[d.r:d.w])
	if n == 0 {
		return nil, nil
	}
	if size > uint64(d.max+Overhead) {
		return nil, fmt.Errorf("%w: frame of %d bytes", ErrProtocol, size)
	}
	if whole := n + int(size); d.w-d.r >= whole {
		frame := d.buf[d.r : d.r+whole]
		d.r += whole
		return d.open(o, flags, frame, n)
	} else if whole <= len(d.buf) {
		return nil, nil
	}
	d.flags, d.left = flags, int(size)
	d.body = make([]byte, maxHeader, maxHeader+min(d.left, firstBody))
	d.take(d.buf[d.r+n : d.w])
	d.r, d.w = 0, 0
	return nil, nil
}

const maxHeader = 9

// open makes a plain frame of a sealed one, which begins after n bytes of frame. The plain header fits into
// what is freed by opening.
func (d *reader) open(o *Opener, flags byte, frame []byte, n int) ([]byte, error) {
	flags, body, err := o.Open(flags, frame[n:])
	if err != nil {
		return nil, err
	}
	header := 2
	if len(body) > 255 {
		header = maxHeader
	}
	at := n + Overhead - header
	appendHeader(frame[:at], flags, len(body))
	return frame[at:], nil
}

// take appends to the body of a long frame, which grows by what has arrived, at most doubling.
func (d *reader) take(b []byte) {
	if need := len(d.body) + len(b); need > cap(d.body) {
		d.grow(need)
	}
	d.body = append(d.body, b...)
	d.left -= len(b)
}

func (d *reader) grow(need int) {
	grown := make([]byte, len(d.body), min(len(d.body)+d.left, max(need, 2*cap(d.body))))
	copy(grown, d.body)
	d.body = grown
}

// fill reads once. A long body is read where it will stay.
func (d *reader) fill(conn io.Reader) error {
	if d.body != nil {
		if len(d.body) == cap(d.body) {
			d.grow(len(d.body) + 1)
		}
		n, err := conn.Read(d.body[len(d.body):cap(d.body)])
		d.body = d.body[:len(d.body)+n]
		if d.left -= n; n > 0 {
			return nil
		}
		return unexpected(err)
	}
	switch {
	case d.r == d.w && (d.buf == nil || d.starved && len(d.buf) < maxBuffer):
		d.buf, d.r, d.w, d.starved = make([]byte, max(minBuffer, 2*len(d.buf))), 0, 0, false
	case d.r > 0:
		d.w = copy(d.buf, d.buf[d.r:d.w])
		d.r = 0
	}
	n, err := conn.Read(d.buf[d.w:])
	if d.w += n; n > 0 {
		d.starved = d.w == len(d.buf)
		return nil
	}
	if d.w > 0 {
		return unexpected(err)
	}
	return err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
