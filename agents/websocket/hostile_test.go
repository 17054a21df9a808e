package websocket_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

// Frames as bytes, and the close code that must answer them; 0 means that the connection lives.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	const limit = 1000
	b := start(t, websocket.Config{MaxMessage: limit}, nil)
	closing := func(payload string) string { return frame(0x88, payload) }
	for _, tc := range []struct {
		name  string
		bytes string
		want  int
	}{
		{"text", frame(0x81, "hello"), 0},
		{"empty text", frame(0x81, ""), 0},
		{"binary that is text", frame(0x82, "hello"), 0},
		{"fragments", frame(0x01, "hel") + frame(0x00, "") + frame(0x80, "lo"), 0},
		{"ping within fragments", frame(0x01, "hel") + frame(0x89, "p") + frame(0x80, "lo"), 0},
		{"unasked pong", frame(0x8a, "pong"), 0},
		{"largest ping", frame(0x89, strings.Repeat("p", 125)), 0},
		{"largest message", frame(0x81, strings.Repeat("x", limit)), 0},
		{"one over", frame(0x81, strings.Repeat("x", limit+1)), 0},
		{"twice", frame(0x81, strings.Repeat("x", 2*limit)), 0},
		{"twice in fragments", frame(0x01, strings.Repeat("x", limit)) + frame(0x80, strings.Repeat("x", limit)), 0},
		{"character cut by fragments", frame(0x01, "\xc3") + frame(0x80, "\xa4"), 0},
		{"noncharacter U+FFFF", frame(0x81, "\xef\xbf\xbf"), 0},
		{"NUL", frame(0x81, "\x00"), 0},
		{"length in more bytes than needed", "\x81\xfe\x00\x01\x00\x00\x00\x00x", 0},
		{"length in eight bytes", "\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00x", 0},

		{"over twice", frame(0x81, strings.Repeat("x", 2*limit+1)), websocket.TooBig},
		{"over twice in fragments", frame(0x01, strings.Repeat("x", 2*limit)) + frame(0x80, "x"), websocket.TooBig},
		{"over twice, then silence", head(0x81, 1<<20), websocket.TooBig},
		{"length 2^62", "\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", websocket.TooBig},
		{"length 2^63", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", websocket.TooBig},
		{"length 2^64-1", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", websocket.TooBig},
		{"lengths that overflow", frame(0x01, "x") + "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", websocket.TooBig},

		{"invalid byte", frame(0x81, "\xff"), websocket.InvalidUTF8},
		{"lone continuation", frame(0x81, "a\x80b"), websocket.InvalidUTF8},
		{"cut character", frame(0x81, "\xe2\x82"), websocket.InvalidUTF8},
		{"overlong", frame(0x81, "\xc0\xaf"), websocket.InvalidUTF8},
		{"surrogate", frame(0x81, "\xed\xa0\x80"), websocket.InvalidUTF8},
		{"over U+10FFFF", frame(0x81, "\xf4\x90\x80\x80"), websocket.InvalidUTF8},
		{"invalid in fragments", frame(0x01, "a\xc3") + frame(0x80, "b"), websocket.InvalidUTF8},
		{"binary that is not text", frame(0x82, "\xff\x00"), websocket.Unsupported},

		{"RSV1", frame(0xc1, "x"), websocket.ProtocolError},
		{"RSV2", frame(0xa1, "x"), websocket.ProtocolError},
		{"RSV3", frame(0x91, "x"), websocket.ProtocolError},
		{"all RSV", frame(0xf1, "x"), websocket.ProtocolError},
		{"compressed bomb unasked", frame(0xc1, strings.Repeat("\x00", 900)), websocket.ProtocolError},
		{"opcode 3", frame(0x83, ""), websocket.ProtocolError},
		{"opcode 4", frame(0x84, "x"), websocket.ProtocolError},
		{"opcode 5", frame(0x85, ""), websocket.ProtocolError},
		{"opcode 6", frame(0x86, ""), websocket.ProtocolError},
		{"opcode 7", frame(0x87, ""), websocket.ProtocolError},
		{"opcode 11", frame(0x8b, ""), websocket.ProtocolError},
		{"opcode 12", frame(0x8c, ""), websocket.ProtocolError},
		{"opcode 13", frame(0x8d, ""), websocket.ProtocolError},
		{"opcode 14", frame(0x8e, ""), websocket.ProtocolError},
		{"opcode 15", frame(0x8f, ""), websocket.ProtocolError},
		{"no mask", "\x81\x01x", websocket.ProtocolError},
		{"ping without mask", "\x89\x00", websocket.ProtocolError},
		{"continuation first", frame(0x80, "x"), websocket.ProtocolError},
		{"open continuation first", frame(0x00, "x"), websocket.ProtocolError},
		{"continuation after the end", frame(0x01, "a") + frame(0x80, "b") + frame(0x80, "c"), websocket.ProtocolError},
		{"text within fragments", frame(0x01, "a") + frame(0x81, "b"), websocket.ProtocolError},
		{"binary within fragments", frame(0x01, "a") + frame(0x82, "b"), websocket.ProtocolError},
		{"fragmented ping", frame(0x09, "a"), websocket.ProtocolError},
		{"fragmented close", frame(0x08, ""), websocket.ProtocolError},
		{"long ping", frame(0x89, strings.Repeat("p", 126)), websocket.ProtocolError},
		{"long pong", frame(0x8a, strings.Repeat("p", 126)), websocket.ProtocolError},
		{"long close", closing("\x03\xe8" + strings.Repeat("r", 124)), websocket.ProtocolError},
		{"HTTP again", request("x", ""), websocket.ProtocolError},

		{"close", closing("\x03\xe8"), 1000},
		{"close without code", closing(""), 1005},
		{"close with reason", closing("\x03\xe9bye"), 1001},
		{"close of an application", closing("\x0f\xa0"), 4000},
		{"close 3000", closing("\x0b\xb8"), 3000},
		{"close, then more", closing("\x03\xe8") + frame(0x81, "more"), 1000},
		{"close within fragments", frame(0x01, "a") + closing("\x03\xe8"), 1000},
		{"close 0", closing("\x00\x00"), websocket.ProtocolError},
		{"close 999", closing("\x03\xe7"), websocket.ProtocolError},
		{"close 1004", closing("\x03\xec"), websocket.ProtocolError},
		{"close 1005", closing("\x03\xed"), websocket.ProtocolError},
		{"close 1006", closing("\x03\xee"), websocket.ProtocolError},
		{"close 1015", closing("\x03\xf7"), websocket.ProtocolError},
		{"close 2000", closing("\x07\xd0"), websocket.ProtocolError},
		{"close 5000", closing("\x13\x88"), websocket.ProtocolError},
		{"close with invalid UTF-8", closing("\x03\xe8\xff"), websocket.ProtocolError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := b.handshake(t, "")
			if _, err := io.WriteString(c, tc.bytes); err != nil {
				t.Fatalf("write: %v", err)
			}
			if tc.want == 0 {
				c.wantAlive(t)
				return
			}
			if got, err := c.closeCode(); got != tc.want {
				t.Errorf("got %d, %v, want %d", got, err, tc.want)
			}
			if op, p, err := c.readFrame(); err == nil {
				t.Errorf("got frame %d %q behind the close frame", op, p)
			}
		})
	}
}

func TestCloseFrameOfOneByte(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	c := b.handshake(t, "")
	io.WriteString(c, frame(0x88, "\x03"))
	if got, err := c.closeCode(); got == 0 {
		t.Errorf("got no close frame: %v", err)
	}
}

// At the limit a message arrives; over it, it is skipped and said to be so, and the connection lives.
func TestSizes(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	ws := b.dial(t, nil)
	const limit = 64 << 10
	for _, n := range []int{0, 1, 125, 126, 1023, 1024, 4096, 65535, limit, limit + 1, 2 * limit, limit} {
		if err := ws.WriteMessage(1, []byte(strings.Repeat("x", n))); err != nil {
			t.Fatal(err)
		}
		m := recv(t, "a message", b.inbox)
		if m.TooLarge != (n > limit) || (n <= limit && len(m.Body) != n) || (n > limit && m.Body != nil) {
			t.Errorf("%d bytes: got %d, too large %v", n, len(m.Body), m.TooLarge)
		}
		if cap(m.Body) > n+n/4+64 {
			t.Errorf("%d bytes: the body holds %d", n, cap(m.Body))
		}
		if n <= limit {
			wantText(t, ws, strings.Repeat("x", n))
		}
	}
	ws.WriteMessage(1, []byte(strings.Repeat("x", 2*limit+1)))
	wantClose(t, ws, websocket.TooBig)
	if r := b.down(t); r.Code != websocket.TooBig || r.Remote {
		t.Errorf("reason: got %v, want 1009 of our own", r)
	}
}

// flood writes until the bridge has had enough and gives its code.
func flood(t *testing.T, b *bed, first, again string) int {
	t.Helper()
	c := b.handshake(t, "")
	go func() {
		io.WriteString(c, first)
		for range 200_000 / 100 {
			if _, err := io.WriteString(c, strings.Repeat(again, 100)); err != nil {
				return
			}
		}
	}()
	code, err := c.closeCode()
	if code == 0 {
		t.Errorf("no close code: %v", err)
	}
	return code
}

func TestFragmentFlood(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	if got := flood(t, b, frame(0x01, "x"), frame(0x00, "")); got != websocket.TooBig {
		t.Errorf("empty fragments: got %d, want 1009", got)
	}
	if got := flood(t, b, frame(0x01, "x"), frame(0x00, "y")); got != websocket.TooBig {
		t.Errorf("fragments of a byte: got %d, want 1009", got)
	}
	{ // a client that fragments with measure is served
		ws := b.dial(t, nil)
		w, _ := ws.NextWriter(1)
		for range 500 {
			io.WriteString(w, strings.Repeat("z", 100))
		}
		w.Close()
		wantText(t, ws, strings.Repeat("z", 50_000))
	}
}

func TestControlFlood(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	for name, f := range map[string]string{
		"pings":       frame(0x89, strings.Repeat("p", 100)),
		"empty pings": frame(0x89, ""),
		"pongs":       frame(0x8a, ""),
	} {
		if got := flood(t, b, "", f); got != websocket.RateLimited {
			t.Errorf("%s: got %d, want 4429", name, got)
		}
	}
	if got := flood(t, b, frame(0x01, "x"), frame(0x89, "")); got != websocket.RateLimited {
		t.Errorf("pings within a message: got %d, want 4429", got)
	}
}

// A message that comes drop by drop ends, though its peer is never silent.
func TestSlowMessage(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{MaxMessageTime: 300 * time.Millisecond}, nil)
	c := b.handshake(t, "")
	io.WriteString(c, head(0x81, 60_000))
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		drip := time.NewTicker(10 * time.Millisecond)
		defer drip.Stop()
		for {
			select {
			case <-drip.C:
				c.Write([]byte("x"))
			case <-stop:
				return
			}
		}
	}()
	if got, err := c.closeCode(); got != websocket.Idle {
		t.Errorf("got %d, %v, want 4408", got, err)
	}
}

// A peer that vanished is found out by its silence; one that answers pings is kept.
func TestVanishedPeer(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{PingInterval: 100 * time.Millisecond, PongTimeout: 400 * time.Millisecond}, nil)
	kept := b.dial(t, nil)
	ends := make(chan error, 1)
	go func() {
		_, _, err := kept.ReadMessage() // answers pings
		ends <- err
	}()
	b.up(t)
	gone := b.handshake(t, "") // reads nothing, answers nothing
	pings := 0
	for {
		op, p, err := gone.readFrame()
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if op == 9 {
			pings++
		}
		if op == 8 {
			if code := int(p[0])<<8 | int(p[1]); code != websocket.Idle || pings != 1 {
				t.Errorf("got %d after %d pings, want 4408 after one", code, pings)
			}
			break
		}
	}
	if r := b.down(t); r.Code != websocket.Idle || r.Remote {
		t.Errorf("reason: got %v, want 4408 of our own", r)
	}
	wait := time.NewTimer(time.Second)
	select {
	case err := <-ends:
		t.Errorf("the answering peer was dropped: %v", err)
	case <-wait.C:
	}
}

// A peer that closes its socket without a word is reported as lost.
func TestLostPeer(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{}, nil)
	c := b.handshake(t, "")
	b.up(t)
	c.Close()
	if r := b.down(t); r.Code != websocket.Abnormal || !r.Remote {
		t.Errorf("reason: got %v, want 1006 by the peer", r)
	}
}

// A peer that does not read is closed with 4413 when its queue is full; it finds the code when it reads
// again. Others get everything meanwhile.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{QueueMessages: 100_000, QueueBytes: 4 << 20}, nil)
	slow := b.handshake(t, "")
	slowConn := b.up(t)
	healthy := b.dial(t, nil)
	healthyConn := b.up(t)
	body := []byte(strings.Repeat("x", 16<<10))
	sent := 0
	for err := error(nil); err == nil; sent++ {
		if err = slowConn.Send(body); err != nil && err != websocket.ErrFull {
			t.Fatalf("Send: got %v, want ErrFull", err)
		}
		if e := healthyConn.Send([]byte(numbered(sent))); e != nil {
			t.Fatalf("Send to the healthy one: %v", e)
		}
		wantText(t, healthy, numbered(sent))
	}
	if err := slowConn.Send(body); err != websocket.ErrClosed {
		t.Errorf("Send: got %v, want ErrClosed", err)
	}
	if got, err := slow.closeCode(); got != websocket.SlowConsumer {
		t.Errorf("got %d, %v, want 4413", got, err)
	}
	if r := b.down(t); r.Code != websocket.SlowConsumer {
		t.Errorf("reason: got %v, want 4413", r)
	}
}

// One that never reads again is cut after WriteTimeout.
func TestStuckConsumer(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{QueueMessages: 10_000, WriteTimeout: 300 * time.Millisecond}, nil)
	b.handshake(t, "")
	conn := b.up(t)
	body := []byte(strings.Repeat("x", 16<<10))
	for conn.Send(body) == nil {
	}
	if r := b.down(t); r.Code != websocket.SlowConsumer && r.Code != websocket.Abnormal {
		t.Errorf("reason: got %v, want 4413 or 1006", r)
	}
}

// CloseAfterFlush cuts a peer that does not read when its time is over.
func TestCloseAfterFlushOfStuckPeer(t *testing.T) {
	t.Parallel()
	b := start(t, websocket.Config{QueueMessages: 10_000, QueueBytes: 64 << 20, WriteTimeout: time.Hour}, nil)
	b.handshake(t, "")
	conn := b.up(t)
	body := []byte(strings.Repeat("x", 64<<10))
	for range 500 {
		if err := conn.Send(body); err != nil {
			t.Fatal(err)
		}
	}
	conn.CloseAfterFlush(websocket.SessionEnded, "", 200*time.Millisecond)
	if r := b.down(t); r.Code != websocket.SessionEnded {
		t.Errorf("reason: got %v, want 4401", r)
	}
}
