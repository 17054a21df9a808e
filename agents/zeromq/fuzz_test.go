package zeromq_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// However the bytes are cut, the same messages come out, and nothing beyond the limits.
func FuzzDecode(f *testing.F) {
	f.Add(join(frame(1, []byte("a")), frame(0, nil)), byte(1))
	f.Add(join(frame(0, make([]byte, 300)), command("PING", []byte{0, 0}), header(0, 1<<62)), byte(7))
	f.Add(join(frame(1, make([]byte, 4000)), frame(1, make([]byte, 2000)), frame(0, []byte("x")), frame(0, []byte("y"))), byte(200))
	f.Add(bytes.Repeat(frame(1, nil), 20), byte(3))
	f.Add(frame(5, []byte("\x04PING")), byte(3))
	f.Fuzz(func(t *testing.T, data []byte, chunk byte) {
		const message, frame, parts = 5000, 8000, 8
		want, wantCommands, wantErr := zeromq.Decode(data, 1<<20, message, frame, parts)
		got, gotCommands, gotErr := zeromq.Decode(data, int(chunk)+1, message, frame, parts)
		if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(gotCommands) != fmt.Sprint(wantCommands) {
			t.Fatalf("in pieces of %d: %d messages, %q; whole: %d, %q", int(chunk)+1, len(got), gotCommands, len(want), wantCommands)
		}
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Fatalf("in pieces: %v, whole: %v", gotErr, wantErr)
		}
		for _, m := range got {
			size := 0
			for _, b := range m.Frames {
				size += len(b)
			}
			if size > message || len(m.Frames) > parts || m.TooLarge != (m.Frames == nil) {
				t.Fatalf("%d bytes in %d frames, TooLarge %v", size, len(m.Frames), m.TooLarge)
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("abc"), uint16(300), uint16(2))
	f.Add([]byte{}, uint16(0), uint16(1))
	f.Fuzz(func(t *testing.T, body []byte, size, chunk uint16) {
		frames := [][]byte{body, bytes.Repeat([]byte{'z'}, int(size)), {}, body}
		if len(body) > 1<<16 {
			return
		}
		data := zeromq.AppendMessage(nil, frames...)
		data = zeromq.AppendMessage(data, body)
		got, _, err := zeromq.Decode(data, int(chunk)+1, 1<<20, 1<<20, 8)
		if err != io.EOF || len(got) != 2 || len(got[0].Frames) != 4 || !bytes.Equal(got[1].Frames[0], body) {
			t.Fatalf("%d messages, %v", len(got), err)
		}
		for i := range frames {
			if !bytes.Equal(got[0].Frames[i], frames[i]) {
				t.Fatalf("frame %d: %d bytes, want %d", i, len(got[0].Frames[i]), len(frames[i]))
			}
		}
	})
}

var mechanismNames = []string{"NULL", "PLAIN", "CURVE"}

// A greeting is accepted only if it is ZMTP 3 or later with our own mechanism, and then nothing else about it
// matters.
func FuzzGreeting(f *testing.F) {
	f.Add(greeting(), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, which byte) {
		b := make([]byte, 64)
		copy(b, data)
		mechanism := mechanismNames[int(which)%len(mechanismNames)]
		minor, err := zeromq.ParseGreeting(b, mechanism)
		fits := b[0] == 0xff && b[9] == 0x7f && b[10] >= 3 && bytes.Equal(bytes.TrimRight(b[12:32], "\x00"), []byte(mechanism))
		if fits != (err == nil) {
			t.Fatalf("%q: %v", b, err)
		}
		if err != nil && !errors.Is(err, zeromq.ErrHandshake) {
			t.Fatalf("%v does not wrap ErrHandshake", err)
		}
		if err == nil && b[10] == 3 && minor != b[11] {
			t.Fatalf("minor version %d of %q", minor, b[:12])
		}
	})
}

var socketTypes = []zmq4.SocketType{
	zmq4.Pair, zmq4.Pub, zmq4.Sub, zmq4.Req, zmq4.Rep, zmq4.Dealer, zmq4.Router, zmq4.Pull, zmq4.Push, zmq4.XPub, zmq4.XSub,
}

// Metadata is accepted only from a peer that our type may talk to, and what is passed on to zmq4 says the same.
func FuzzReady(f *testing.F) {
	f.Add(join(property("Socket-Type", "DEALER"), property("Identity", "x")), byte(6))
	f.Fuzz(func(t *testing.T, data []byte, which byte) {
		own := socketTypes[int(which)%len(socketTypes)]
		peer, id, err := zeromq.ParseReady(data, own)
		if err != nil {
			if !errors.Is(err, zeromq.ErrHandshake) {
				t.Fatalf("%v does not wrap ErrHandshake", err)
			}
			return
		}
		if !slices.Contains(socketTypes, peer) || !own.IsCompatible(peer) || len(id) > 255 {
			t.Fatalf("%s talks to %q, %q", own, peer, id)
		}
		clean := zeromq.AppendProperties(peer, id)
		header := 2
		if clean[0]&2 != 0 {
			header = 9
		}
		peer2, id2, err := zeromq.ParseReady(clean[header+len("\x05READY"):], own)
		if err != nil || peer2 != peer || id2 != id {
			t.Fatalf("%q %q passed on as %q %q, %v", peer, id, peer2, id2, err)
		}
		known := zmq4.Metadata{}
		if err := known.UnmarshalZMTP(clean[header+len("\x05READY"):]); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever a stranger says, the handshake ends in a routing id or in ErrHandshake, never in a panic.
func FuzzHandshake(f *testing.F) {
	f.Add(hello("DEALER", "id"), byte(10))
	plain := greeting()
	copy(plain[12:], "PLAIN")
	f.Add(join(plain, command("HELLO", []byte("\x03ann\x06secret")), command("INITIATE", property("Socket-Type", "REQ"))), byte(99))
	f.Add(join(plain, command("HELLO", []byte("\x03ann\xff"))), byte(99))
	f.Add(hello("FOO", "id"), byte(255))
	f.Add(join(greeting(), command("READY", []byte("\x0bSocket-Type\x00\x00"))), byte(0))
	f.Add(join(greeting(), command("READY", append(property("Socket-Type", "REQ"), 200, 'a'))), byte(63))
	f.Add(join(greeting(), header(4, 1<<62)), byte(64))
	f.Add(join(greeting(), command("ERROR", []byte("\x03400"))), byte(64))
	f.Fuzz(func(t *testing.T, data []byte, chunk byte) {
		for _, m := range mechanisms[:2] {
			id, err := zeromq.Handshake(data, int(chunk)+1, m.serves)
			if err != nil && !errors.Is(err, zeromq.ErrHandshake) && !errors.Is(err, zeromq.ErrUnauthorized) {
				t.Fatalf("%s: %v does not wrap ErrHandshake", m.name, err)
			}
			if err == nil && len(id) > 255 {
				t.Fatalf("%s: routing id of %d bytes", m.name, len(id))
			}
		}
	})
}

// Frames that are sealed come out as they would unsealed, however the bytes are cut; garbage among them ends it.
func FuzzDecodeSealed(f *testing.F) {
	f.Add(join(frame(1, []byte("a")), frame(0, nil)), byte(1), []byte(nil))
	f.Add(join(frame(0, make([]byte, 300)), command("PING", []byte{0, 0})), byte(7), frame(0, []byte("\x07MESSAGE")))
	f.Add(join(frame(1, make([]byte, 4000)), frame(1, make([]byte, 2000)), frame(0, []byte("x"))), byte(200), frame(0, make([]byte, 40)))
	f.Add(bytes.Repeat(frame(1, nil), 20), byte(3), header(0, 1<<62))
	f.Add(join(frame(0, make([]byte, 222)), frame(0, make([]byte, 223)), frame(0, make([]byte, 3000))), byte(255), header(4, 200))
	seal, opener := newKeys().session(f) // for all: nonces may leave gaps
	f.Fuzz(func(t *testing.T, data []byte, chunk byte, garbage []byte) {
		const message, size, parts = 5000, 8000, 8
		var plain, sealed []byte
		for r := bytes.NewReader(data); r.Len() > 0; {
			if most := r.Len(); most > 1<<16 {
				return
			}
			flags, body, err := readSmallFrame(r)
			if err != nil || flags&^5 != 0 || flags == 5 {
				break
			}
			plain, sealed = append(plain, frame(flags, body)...), append(sealed, seal.seal(flags, body)...)
		}
		want, wantCommands, wantErr := zeromq.Decode(plain, 1<<20, message, size, parts)
		got, gotCommands, gotErr := zeromq.DecodeSealed(opener, append(sealed, garbage...), int(chunk)+1, message, size, parts)
		if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(gotCommands) != fmt.Sprint(wantCommands) {
			t.Fatalf("sealed: %d messages, %q; plain: %d, %q", len(got), gotCommands, len(want), wantCommands)
		}
		if len(garbage) == 0 && fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Fatalf("sealed: %v, plain: %v", gotErr, wantErr)
		}
	})
}

// readSmallFrame is readFrame that believes no header.
func readSmallFrame(r *bytes.Reader) (flags byte, body []byte, err error) {
	rest := r.Len()
	h := make([]byte, min(9, rest))
	r.Read(h)
	r.Seek(int64(-len(h)), io.SeekCurrent)
	if len(h) < 2 || h[0]&2 != 0 && (len(h) < 9 || binary.BigEndian.Uint64(h[1:]) > uint64(rest)) {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return readFrame(r)
}
