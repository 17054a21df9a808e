package zeromq

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// writer hands parcels to the kernel in few calls.
type writer struct {
	conn    net.Conn
	sealer  *curve.Sealer // nil: frames travel as they are
	timeout time.Duration
	buffers *buffers

	deadline time.Time // of conn

	written int64 // bytes of messages
	err     error

	pieces net.Buffers // of one call; its array is used again
	all    net.Buffers
}

// write writes the commands, then the parcels, as far as that goes without an error.
func (w *writer) write(commands []byte, parcels []parcel) {
	w.written, w.err = 0, nil
	if w.sealer != nil {
		w.seal(commands, parcels)
		return
	}
	if len(commands) == 0 && len(parcels) == 1 && parcels[0].encoded != nil {
		w.written = w.send(parcels[0].bytes())
		return
	}
	w.all = w.all[:0]
	if len(commands) > 0 {
		w.all = append(w.all, commands)
	}
	for i := range parcels {
		p := &parcels[i]
		if p.encoded != nil {
			w.all = append(w.all, p.bytes())
			continue
		}
		headers := make([]byte, 0, 9*len(p.frames))
		for j, body := range p.frames {
			at := len(headers)
			headers = appendHeader(headers, moreFlag(j, p.frames), len(body))
			w.all = append(w.all, headers[at:len(headers):len(headers)])
			if len(body) > 0 {
				w.all = append(w.all, body)
			}
		}
	}
	w.pieces = w.all
	w.written = max(w.sendPieces()-int64(len(commands)), 0)
	clear(w.all)
}

// seal is write with a box around each frame. A frame is written in one piece: its box begins with what
// proves its end.
func (w *writer) seal(commands []byte, parcels []parcel) {
	scratch := w.buffers.get(bufferCap, true)
	buf := (*scratch)[:0]
	defer func() {
		if cap(buf) <= takeBytes { // a long frame has made it grow
			*scratch = buf[:0]
		}
		w.buffers.put(scratch)
	}()
	for len(commands) > 0 && w.err == nil {
		h, n := parseHeader(commands)
		end := n + int(h.size)
		buf, w.err = w.sealer.AppendFrame(buf, flagCommand, commands[n:end])
		commands = commands[end:]
	}
	before := int64(len(buf))
	for i := range parcels {
		parcels[i].each(func(flags byte, body []byte) bool {
			if len(buf)+curve.SealedSize(len(body)) > bufferCap && len(buf) > 0 {
				w.written += w.send(buf)
				buf = buf[:0]
			}
			if w.err == nil {
				buf, w.err = w.sealer.AppendFrame(buf, flags, body)
			}
			return w.err == nil
		})
	}
	if w.err == nil && len(buf) > 0 {
		w.written += w.send(buf)
	}
	w.written = max(w.written-before, 0)
}

// wrote takes a parcel off what has been written, if it has been to its last byte.
func (w *writer) wrote(p *parcel) bool {
	size := int64(p.size)
	if w.sealer != nil {
		size = 0
		p.each(func(_ byte, body []byte) bool {
			size += int64(curve.SealedSize(len(body)))
			return true
		})
	}
	if w.written < size {
		return false
	}
	w.written -= size
	return true
}

// send writes b and returns how much of it has left.
func (w *writer) send(b []byte) (n int64) {
	for {
		if w.wait(); w.err != nil {
			return n
		}
		m, err := w.conn.Write(b)
		n += int64(m)
		if b = b[m:]; !w.goOn(m > 0, err) {
			return n
		}
	}
}

func (w *writer) sendPieces() (n int64) {
	for {
		if w.wait(); w.err != nil {
			return n
		}
		m, err := w.pieces.WriteTo(w.conn)
		n += m
		if !w.goOn(m > 0, err) {
			return n
		}
	}
}

// wait has the next call wait for the timeout, and up to a quarter more: setting a deadline costs as much as
// encoding several messages.
func (w *writer) wait() {
	if w.timeout <= 0 {
		return
	}
	if now := time.Now(); w.deadline.Sub(now) < w.timeout {
		w.deadline = now.Add(w.timeout + w.timeout/4)
		w.err = w.conn.SetWriteDeadline(w.deadline)
	}
}

// goOn reports whether the rest is to be tried again: the timeout is for writes that make no progress.
func (w *writer) goOn(progress bool, err error) bool {
	if w.timeout > 0 && progress && errors.Is(err, os.ErrDeadlineExceeded) {
		w.deadline = time.Time{}
		return true
	}
	w.err = err
	return false
}
