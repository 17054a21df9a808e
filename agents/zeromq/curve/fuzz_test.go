package curve_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// What parses as a command is written the same again; HELLO's padding, which nobody reads, aside.
func FuzzCommand(f *testing.F) {
	for _, c := range curve.Commands() {
		f.Add(c)
		f.Add(c[:len(c)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, again := range curve.Reparse(b) {
			if len(b) == 200 {
				b = bytes.Clone(b)
				clear(b[8:80])
			}
			if !bytes.Equal(again, b) {
				t.Fatalf("%q becomes %q", b, again)
			}
		}
	})
}

func FuzzIntroduction(f *testing.F) {
	f.Add(make([]byte, 128))
	f.Add(append(make([]byte, 128), curve.SocketMetadata("DEALER", "x").Append(nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if again, err := curve.ReparseIntroduction(b); err == nil && !bytes.Equal(again, b) {
			t.Fatalf("%q becomes %q", b, again)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(curve.SocketMetadata("DEALER", "x").Append(nil))
	f.Add([]byte("\xc8ab"))
	f.Add([]byte("\x01a\xff\xff\xff\xff"))
	f.Add([]byte("\x01a\x00\x00\x00\x00\x01A\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := curve.ReparseMetadata(b)
		if err == nil && !bytes.Equal(again, b) || err != nil && !errors.Is(err, curve.ErrFormat) {
			t.Fatalf("%q becomes %q, %v", b, again, err)
		}
	})
}

// Nobody gets in without the key, whatever he says.
func FuzzHandshake(f *testing.F) {
	public, cfg := serverConfig()
	address, _ := recordingServer(f, cfg)
	hello, initiate, _ := record(f, address, public)
	f.Add(hello, true)
	f.Add(append(bytes.Clone(hello), initiate...), true)
	f.Add(append(greeting("CURVE"), frame(4, []byte("\x05ERROR\x03400"))...), false)
	f.Add(append(greeting("CURVE"), frame(4, curve.Commands()[1])...), false)
	f.Fuzz(func(t *testing.T, b []byte, server bool) {
		conn := &canned{Reader: bytes.NewReader(b)}
		c := curve.Client(conn, curve.ClientConfig{Server: public})
		if server {
			c = curve.Server(conn, cfg)
		}
		if err := c.Handshake(context.Background()); !errors.Is(err, curve.ErrHandshake) {
			t.Fatal(err)
		}
	})
}

// canned is a connection of which the other end has said all.
type canned struct {
	net.Conn
	*bytes.Reader
}

func (c *canned) Read(p []byte) (int, error)       { return c.Reader.Read(p) }
func (*canned) Write(p []byte) (int, error)        { return len(p), nil }
func (*canned) SetDeadline(time.Time) error        { return nil }
func (*canned) SetWriteDeadline(time.Time) error   { return nil }
func (*canned) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (c *canned) WriteTo(io.Writer) (int64, error) { return 0, errors.ErrUnsupported }

// What is not sealed does not open; what is, does, and to the same.
func FuzzMessage(f *testing.F) {
	server, client := pair(f)
	sealed, _ := client.Sealer().AppendFrame(nil, 1, []byte("x"))
	f.Add(sealed[2:], byte(0))
	f.Add([]byte("\x07MESSAGE"), byte(4))
	f.Add(make([]byte, 223), byte(1))
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		if got, body, err := server.Opener().Open(flags, bytes.Clone(b)); err != nil && !errors.Is(err, curve.ErrProtocol) {
			t.Fatal(err)
		} else if err == nil && (got != 1 || string(body) != "x") {
			t.Fatalf("%d %q", got, body)
		}
		flags &= 1
		out, _ := client.Sealer().AppendFrame(nil, flags, b)
		if len(out) != curve.SealedSize(len(b)) {
			t.Fatalf("%d bytes, not %d", len(out), curve.SealedSize(len(b)))
		}
		got, body, err := server.Opener().Open(0, out[len(out)-len(b)-curve.Overhead:])
		if err != nil || got != flags || !bytes.Equal(body, b) {
			t.Fatalf("%d %q, %v", got, body, err)
		}
	})
}

func FuzzZ85(f *testing.F) {
	f.Add("HelloWorld")
	f.Add("%nSc1")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := curve.DecodeZ85(text)
		if err != nil {
			return
		}
		if again, err := curve.EncodeZ85(b); err != nil || again != text {
			t.Fatalf("%q becomes %q, %v", text, again, err)
		}
	})
}

func FuzzCertificate(f *testing.F) {
	public, secret := curve.GenerateKeyPair()
	f.Add("metadata\n    email = a@b\ncurve\n    public-key = \"" + public.String() + "\"\n    secret-key = \"" + secret.Z85() + "\"\n")
	f.Add("curve\n public-key='")
	f.Add("\t=\n = \n#\ncurve = x")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := curve.ParseCertificate([]byte(text))
		if err != nil && (!errors.Is(err, curve.ErrFormat) || strings.Contains(err.Error(), secret.Z85())) {
			t.Fatal(err)
		}
		if err == nil && c.Public.IsZero() {
			t.Fatal("no key, no error")
		}
	})
}
