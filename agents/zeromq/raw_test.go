package zeromq_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// The bytes of a ZMTP peer, written by hand so that the tests do not trust the code they test.

func greeting() []byte {
	b := make([]byte, 64)
	b[0], b[9], b[10], b[11] = 0xff, 0x7f, 3, 1
	copy(b[12:], "NULL")
	return b
}

func property(key, value string) []byte {
	b := append([]byte{byte(len(key))}, key...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

func command(name string, body []byte) []byte {
	b := append([]byte{byte(len(name))}, name...)
	return frame(4, append(b, body...))
}

func frame(flags byte, body []byte) []byte {
	return append(header(flags, uint64(len(body))), body...)
}

func header(flags byte, size uint64) []byte {
	if size < 256 {
		return []byte{flags, byte(size)}
	}
	return binary.BigEndian.AppendUint64([]byte{flags | 2}, size)
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func hello(socketType, id string) []byte {
	return join(greeting(), command("READY", join(property("Socket-Type", socketType), property("Identity", id))))
}

// rawPeer is a DEALER made of a TCP connection, past its handshake.
func rawPeer(t testing.TB, address, id string) net.Conn {
	t.Helper()
	conn := dialRaw(t, address)
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(hello("DEALER", id)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 64)); err != nil {
		t.Fatalf("greeting: %v", err)
	}
	flags, _, err := readFrame(conn)
	if err != nil || flags != 4 {
		t.Fatalf("READY: flags %d, %v", flags, err)
	}
	return conn
}

func readFrame(r io.Reader) (flags byte, body []byte, err error) {
	var h [9]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return 0, nil, err
	}
	size := uint64(h[1])
	if h[0]&2 != 0 {
		if _, err := io.ReadFull(r, h[2:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(h[1:])
	}
	body = make([]byte, size)
	_, err = io.ReadFull(r, body)
	return h[0] &^ 2, body, err
}

// expectFrame reads one frame and compares it. Commands that come when none is expected are passed over.
func expectFrame(t testing.TB, conn io.Reader, flags byte, body string) {
	t.Helper()
	f, b, err := readFrame(conn)
	for flags != 4 && f == 4 && err == nil {
		f, b, err = readFrame(conn)
	}
	if err != nil || f != flags || string(b) != body {
		t.Fatalf("got frame %d %.80q, %v, want %d %.80q", f, b, err, flags, body)
	}
}

// livePeer is a rawPeer that answers PING at any time; the frames of messages are sent to the channel.
func livePeer(t testing.TB, address, id string) (net.Conn, <-chan string) {
	t.Helper()
	conn := rawPeer(t, address, id)
	conn.SetDeadline(time.Time{})
	bodies, ended := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			flags, body, err := readFrame(conn)
			if err != nil {
				return
			}
			if flags != 4 {
				bodies <- string(body)
			} else if string(body[:5]) == "\x04PING" {
				conn.Write(command("PONG", nil))
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return conn, bodies
}

// expectClosed waits for the end of the connection, whatever is said before it.
func expectClosed(t testing.TB, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
		t.Fatal("the connection lives")
	}
}
