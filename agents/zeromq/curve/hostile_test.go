package curve_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// recorder keeps what is written.
type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.sent = append(r.sent, p...)
	return r.Conn.Write(p)
}

// record shakes hands with a server at address and returns what the client said: greeting, HELLO, INITIATE,
// and then a MESSAGE.
func record(t testing.TB, address string, server curve.PublicKey) (hello, initiate, message []byte) {
	t.Helper()
	r := &recorder{Conn: dial(t, address)}
	c := curve.Client(r, curve.ClientConfig{Server: server, Metadata: curve.SocketMetadata("DEALER", "")})
	if err := c.Handshake(context.Background()); err != nil {
		t.Fatal(err)
	}
	rest := r.sent[64+202:]
	message, err := c.Sealer().AppendFrame(nil, 0, []byte("hi"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(r.sent[:64+202]), slices.Clone(rest), message
}

// recordingServer sends how each connection's handshake, and then a read, ended.
func recordingServer(t testing.TB, cfg curve.ServerConfig) (string, <-chan error) {
	ends := make(chan error, 1000)
	return listen(t, func(conn net.Conn) {
		c := curve.Server(conn, cfg)
		if err := c.Handshake(context.Background()); err != nil {
			ends <- err
			return
		}
		_, err := io.Copy(io.Discard, onlyReader{c})
		ends <- err
	}), ends
}

func TestRecordedCommandsAreUseless(t *testing.T) {
	t.Parallel()
	public, cfg := serverConfig()
	address, ends := recordingServer(t, cfg)
	hello, initiate, message := record(t, address, public)

	conn := dial(t, address)
	conn.Write(hello)
	if _, err := io.ReadFull(conn, make([]byte, 64+170)); err != nil { // greeting and WELCOME
		t.Fatal(err)
	}
	conn.Write(initiate)
	conn.Write(message)
	if n, _ := io.Copy(io.Discard, conn); n != 0 {
		t.Errorf("%d bytes of answer to a recorded INITIATE", n)
	}
	if err := <-ends; !errors.Is(err, curve.ErrHandshake) {
		t.Errorf("the server saw %v", err)
	}

	server, client := pair(t)
	sealed, _ := client.Sealer().AppendFrame(nil, 0, []byte("once"))
	client.NetConn().Write(sealed)
	client.NetConn().Write(sealed)
	got, err := io.ReadAll(server)
	if !errors.Is(err, curve.ErrProtocol) || !bytes.HasSuffix(got, frame(0, []byte("once"))) || bytes.Count(got, []byte("once")) != 1 {
		t.Errorf("a repeated MESSAGE: %q, %v", got, err)
	}
	other, _ := pair(t)
	if _, _, err := other.Opener().Open(sealed[0], sealed[2:]); !errors.Is(err, curve.ErrProtocol) {
		t.Errorf("another connection's MESSAGE: %v", err)
	}
	if _, _, err := client.Opener().Open(sealed[0], sealed[2:]); !errors.Is(err, curve.ErrProtocol) {
		t.Errorf("a MESSAGE sent back: %v", err)
	}
}

func TestServerRefuses(t *testing.T) {
	t.Parallel()
	public, cfg := serverConfig()
	address, ends := recordingServer(t, cfg)
	hello, initiate, _ := record(t, address, public)
	wrong := func(b []byte, at int, value byte) []byte {
		b = slices.Clone(b)
		b[at] ^= value
		return b
	}
	old := greeting("CURVE")
	old[10] = 1
	g := greeting("CURVE")
	command := func(b []byte) []byte { return append(slices.Clone(g), b...) }
	cases := map[string][]byte{
		"nothing":                nil,
		"HTTP":                   []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"half greeting":          g[:30],
		"greeting alone":         g,
		"ZMTP 1":                 old,
		"NULL":                   append(greeting("NULL"), frame(4, []byte("\x05READY"))...),
		"PLAIN":                  append(greeting("PLAIN"), frame(4, []byte("\x05HELLO\x01a\x01b"))...),
		"CURVES":                 append(greeting("CURVES"), hello[64:]...),
		"2^62 bytes":             command(binary.BigEndian.AppendUint64([]byte{6}, 1<<62)),
		"message frame":          command(frame(0, hello[66:])),
		"command with MORE":      command(frame(5, hello[66:])),
		"reserved flags":         command(frame(12, hello[66:])),
		"empty command":          command(frame(4, nil)),
		"HELLO cut":              command(frame(4, hello[66:265])),
		"HELLO of 201":           command(frame(4, append(slices.Clone(hello[66:]), 0))),
		"HELLO of version 2":     wrong(hello, 64+2+6, 3),
		"HELLO tampered":         wrong(hello, 64+2+199, 1),
		"HELLO key tampered":     wrong(hello, 64+2+80, 1),
		"HELLO of another nonce": wrong(hello, 64+2+119, 1),
		"INITIATE first":         command(initiate),
		"low order key":          low(hello),
		"INITIATE missing":       hello,
		"INITIATE of 16 KB more": append(slices.Clone(hello), binary.BigEndian.AppendUint64([]byte{6}, 257+16<<10+1)...),
		"INITIATE cut":           append(slices.Clone(hello), frame(4, initiate[9:9+200])...),
		"HELLO twice":            append(slices.Clone(hello), hello[64:]...),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, address)
			conn.Write(b)
			conn.(*net.TCPConn).CloseWrite()
			answer, _ := io.ReadAll(conn)
			if len(answer) > 64+170 {
				t.Errorf("answer of %d bytes", len(answer))
			}
			if bytes.Contains(answer, []byte("ERROR")) {
				t.Errorf("a stranger is told something: %q", answer)
			}
			if err := <-ends; !errors.Is(err, curve.ErrHandshake) {
				t.Errorf("the server saw %v", err)
			}
		})
	}
}

// low puts a point of low order into HELLO: the shared key would be known to all.
func low(hello []byte) []byte {
	b := slices.Clone(hello)
	clear(b[64+2+80 : 64+2+112])
	return b
}

func TestClientRefuses(t *testing.T) {
	t.Parallel()
	public, cfg := serverConfig()
	address, _ := recordingServer(t, cfg)
	welcome := func() []byte { // one meant for another client
		hello, _, _ := record(t, address, public)
		conn := dial(t, address)
		conn.Write(hello)
		b := make([]byte, 64+170)
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
		return b[64:]
	}()
	cases := map[string]struct {
		answer []byte
		code   string
	}{
		"refusal":            {frame(4, []byte("\x05ERROR\x03400")), "400"},
		"internal":           {frame(4, []byte("\x05ERROR\x03500")), "500"},
		"no code":            {frame(4, []byte("\x05ERROR\x00")), ""},
		"malformed ERROR":    {frame(4, []byte("\x05ERROR\x09400")), "-"},
		"another's WELCOME":  {welcome, "-"},
		"WELCOME cut":        {frame(4, welcome[2:100]), "-"},
		"READY":              {frame(4, curve.Commands()[3]), "-"},
		"2^63 bytes":         {binary.BigEndian.AppendUint64([]byte{6}, 1<<63), "-"},
		"a message":          {frame(0, welcome[2:]), "-"},
		"nothing":            {nil, "-"},
		"HELLO":              {frame(4, curve.Commands()[0]), "-"},
		"WELCOME and a byte": {frame(4, append(slices.Clone(welcome[2:]), 1)), "-"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			address := listen(t, func(conn net.Conn) {
				conn.Write(append(greeting("CURVE"), c.answer...))
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
			})
			conn := dial(t, address)
			client := curve.Client(conn, curve.ClientConfig{Server: public})
			err := client.Handshake(context.Background())
			conn.Close()
			if !errors.Is(err, curve.ErrHandshake) {
				t.Fatalf("got %v", err)
			}
			refusal, ok := errors.AsType[*curve.RefusedError](err)
			if ok != (c.code != "-") || ok && refusal.Code != c.code {
				t.Errorf("refusal %v, want %s", refusal, c.code)
			}
			if _, err := client.Read(make([]byte, 1)); err == nil {
				t.Error("Read works without a handshake")
			}
			if _, err := client.Write(make([]byte, 1)); err == nil {
				t.Error("Write works without a handshake")
			}
		})
	}
}

func TestAuthoriseChoosesWhatTheClientIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"any error":          {errors.New("not you"), "400"},
		"internal":           {&curve.RefusedError{Code: "500"}, "500"},
		"temporary, no word": {&curve.RefusedError{Code: "300"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			public, cfg := serverConfig()
			cfg.Authorise = func(context.Context, curve.Request) (string, error) { return "", c.err }
			address, ends := recordingServer(t, cfg)
			err := curve.Client(dial(t, address), curve.ClientConfig{Server: public}).Handshake(context.Background())
			refusal, _ := errors.AsType[*curve.RefusedError](err)
			if got := refusal; (got == nil) != (c.code == "") || got != nil && got.Code != c.code {
				t.Errorf("the client got %v", err)
			}
			if err := <-ends; !errors.Is(err, c.err) || !errors.Is(err, curve.ErrHandshake) {
				t.Errorf("the server saw %v", err)
			}
		})
	}
}

// Whatever is changed in a sealed frame, it does not open.
func TestTamperedMessages(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	for _, size := range []int{0, 10, 300} {
		sealed, _ := client.Sealer().AppendFrame(nil, 1, bytes.Repeat([]byte{'x'}, size))
		header := 2
		if len(sealed) > 257 {
			header = 9
		}
		body := sealed[header:]
		for at := range body {
			changed := slices.Clone(body)
			changed[at] ^= 0x40
			if _, _, err := server.Opener().Open(0, changed); !errors.Is(err, curve.ErrProtocol) {
				t.Fatalf("byte %d of %d changed: %v", at, len(body), err)
			}
			if _, _, err := server.Opener().Open(0, slices.Clone(body[:at])); !errors.Is(err, curve.ErrProtocol) {
				t.Fatalf("cut to %d of %d: %v", at, len(body), err)
			}
		}
		if _, _, err := server.Opener().Open(1, slices.Clone(body)); !errors.Is(err, curve.ErrProtocol) {
			t.Errorf("MORE outside the box: %v", err)
		}
		if flags, got, err := server.Opener().Open(4, body); err != nil || flags != 1 || len(got) != size {
			t.Fatalf("untouched: %d, %d bytes, %v", flags, len(got), err)
		}
	}
}

func TestReadLimits(t *testing.T) {
	t.Parallel()
	public, cfg := serverConfig()
	cfg.MaxFrame = 1000
	for _, size := range []int{1000, 1001} {
		server, client := pairOf(t, cfg, curve.ClientConfig{Server: public})
		sealed, _ := client.Sealer().AppendFrame(nil, 0, make([]byte, size))
		client.NetConn().Write(sealed)
		client.Close()
		_, err := io.Copy(io.Discard, onlyReader{server})
		if errors.Is(err, curve.ErrProtocol) != (size > 1000) {
			t.Errorf("frame of %d: %v", size, err)
		}
	}
	for name, b := range map[string][]byte{
		"2^62":       binary.BigEndian.AppendUint64([]byte{2}, 1<<62),
		"2^64-1":     binary.BigEndian.AppendUint64([]byte{2}, 1<<64-1),
		"plain":      frame(0, []byte("not sealed at all, but of about the right length")),
		"PING":       frame(4, []byte("\x04PING\x00\x00")),
		"ERROR":      frame(4, []byte("\x05ERROR\x03400")),
		"empty":      frame(0, nil),
		"empty MORE": frame(1, nil),
	} {
		server, client := pair(t)
		client.NetConn().Write(b)
		if _, err := io.Copy(io.Discard, onlyReader{server}); !errors.Is(err, curve.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server, client := pair(t)
	client.NetConn().Write([]byte{0, 50, 7})
	client.Close()
	if _, err := io.Copy(io.Discard, onlyReader{server}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
}

// A header is not believed: what it promises is allocated as it arrives.
func TestPromisedBytesAreNotAllocated(t *testing.T) {
	server, client := pair(t)
	if _, err := open(client); err != nil {
		t.Fatal(err)
	}
	if _, err := open(server); err != nil {
		t.Fatal(err)
	}
	client.NetConn().Write(append(binary.BigEndian.AppendUint64([]byte{2}, 20<<20), make([]byte, 1000)...))
	client.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := server.Read(make([]byte, 1))
	runtime.ReadMemStats(&after)
	if err != io.ErrUnexpectedEOF || after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Errorf("%v; allocated %d bytes", err, after.TotalAlloc-before.TotalAlloc)
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	public, cfg := serverConfig()
	hold := make(chan struct{})
	address := listen(t, func(net.Conn) { <-hold })
	defer close(hold)
	for _, c := range []*curve.Conn{
		curve.Client(dial(t, address), curve.ClientConfig{Server: public}),
		curve.Server(dial(t, address), cfg),
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if err := c.Handshake(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := c.Handshake(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("again: %v", err)
		}
	}
}
