package curve

import "fmt"

// writer seals the NULL stream that is written to a Conn.
type writer struct {
	begun   int    // bytes of the greeting so far; beyond it means that READY has passed too
	partial []byte // the start of a frame whose end has not been written yet
	sealed  []byte
	err     error
}

// Write writes the NULL stream: a greeting and READY first, which are taken off, because Handshake has sent
// what they say, then frames. All frames that are complete leave in one write of at most about 64 KB each;
// the start of one waits for its end. After an error n counts whole frames that have left.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.sealer == nil {
		return 0, errNoHandshake
	}
	w := &c.out
	if w.err != nil {
		return 0, w.err
	}
	total := len(p)
	if w.begun < greetingSize {
		skip := min(greetingSize-w.begun, len(p))
		w.begun += skip
		p = p[skip:]
	}
	counted := total - len(p) // bytes of p that have left or may be forgotten
	before := len(w.partial)
	for len(p) > 0 || len(w.partial) > 0 {
		flags, body, used := w.next(p)
		if used < 0 {
			w.partial = append(w.partial, p...)
			break
		}
		p = p[used:]
		if w.begun == greetingSize {
			w.begun++ // READY
			counted, before = total-len(p), 0
		} else if w.sealed, err = c.sealer.AppendFrame(w.sealed, flags&^flagLong, body); err != nil {
			w.err = err
			return counted, err
		}
		w.partial = w.partial[:0]
		if len(w.sealed) >= maxBuffer || len(p) == 0 {
			left, err := w.flush(c)
			if err != nil {
				return counted + max(0, left-before), err
			}
			counted, before = total-len(p), 0
		}
	}
	if cap(w.partial) > maxBuffer && len(w.partial) == 0 {
		w.partial = nil
	}
	if left, err := w.flush(c); err != nil {
		return counted + max(0, left-before), err
	}
	return total, nil
}

// next finds the frame that begins in partial or else in p, and how much of p it takes: -1 means that it is
// not complete. A body that is whole in p stays there.
func (w *writer) next(p []byte) (flags byte, body []byte, used int) {
	if len(w.partial) == 0 {
		flags, size, n := parseHeader(p)
		if n == 0 || uint64(len(p)-n) < size {
			return 0, nil, -1
		}
		return flags, p[n : n+int(size)], n + int(size)
	}
	for {
		flags, size, n := parseHeader(w.partial)
		if n == 0 {
			if used == len(p) {
				w.partial = w.partial[:len(w.partial)-used] // the caller appends them
				return 0, nil, -1
			}
			w.partial = append(w.partial, p[used])
			used++
			continue
		}
		have := uint64(len(w.partial) - n)
		if uint64(len(p)-used) < size-have {
			w.partial = w.partial[:len(w.partial)-used]
			return 0, nil, -1
		}
		if have == 0 {
			return flags, p[used : used+int(size)], used + int(size)
		}
		rest := int(size - have)
		w.partial = append(w.partial, p[used:used+rest]...)
		return flags, w.partial[n:], used + rest
	}
}

// flush hands what is sealed to the kernel. On an error it returns how many bytes of the stream have left in
// whole frames.
func (w *writer) flush(c *Conn) (left int, err error) {
	if len(w.sealed) == 0 {
		return 0, nil
	}
	n, err := c.Conn.Write(w.sealed)
	if err != nil {
		w.err = fmt.Errorf("curve: %w", err)
		return plainSize(w.sealed[:n]), err
	}
	w.sealed = w.sealed[:0]
	if cap(w.sealed) > 2*maxBuffer {
		w.sealed = nil
	}
	return 0, nil
}

// plainSize is what the whole frames at the start of b took before they were sealed.
func plainSize(b []byte) (plain int) {
	for {
		_, size, n := parseHeader(b)
		if n == 0 || uint64(len(b)-n) < size {
			return plain
		}
		b = b[n+int(size):]
		body := int(size) - Overhead
		plain += body + 2
		if body > 255 {
			plain += maxHeader - 2
		}
	}
}
