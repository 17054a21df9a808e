package curve_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// However the stream is cut on its way in and out, the same frames come out.
func TestStreamInPieces(t *testing.T) {
	t.Parallel()
	var stream []byte
	stream = append(stream, greeting("NULL")...)
	stream = append(stream, frame(4, []byte("\x05READY"))...)
	var want []byte
	for _, f := range []struct {
		flags byte
		size  int
	}{{1, 0}, {0, 1}, {4, 7}, {1, 222}, {1, 223}, {1, 255}, {0, 256}, {0, 5000}, {1, 70000}, {0, 200000}, {0, 3}} {
		want = append(want, frame(f.flags, bytes.Repeat([]byte{byte(f.size)}, f.size))...)
	}
	stream = append(stream, want...)
	for _, chunk := range []int{1, 2, 3, 9, 64, 100, 1000, 65536, len(stream)} {
		server, client := pair(t)
		ended := make(chan error, 1)
		go func() {
			for at := 0; at < len(stream); at += chunk {
				p := stream[at:min(at+chunk, len(stream))]
				if n, err := client.Write(p); err != nil || n != len(p) {
					ended <- errors.Join(errors.New("Write"), err)
					return
				}
			}
			ended <- client.CloseWrite()
		}()
		var got []byte
		buf := make([]byte, chunk)
		for {
			n, err := server.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("in pieces of %d: %v", chunk, err)
			}
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		ready := slices.Concat(greeting("NULL")[12:], frame(4, append([]byte("\x05READY"), curve.SocketMetadata("DEALER", "ann").Append(nil)...)))
		if !bytes.Equal(got[12:12+len(ready)], ready) {
			t.Fatalf("begins with %q", got[:12+len(ready)])
		}
		if !bytes.Equal(got[12+len(ready):], want) {
			t.Fatalf("in pieces of %d: %d bytes, want %d", chunk, len(got)-12-len(ready), len(want))
		}
	}
}

// cut fails after so many bytes.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	if len(p) > c.left {
		n, _ := c.Conn.Write(p[:c.left])
		c.left = 0
		return n, errors.New("cut")
	}
	c.left -= len(p)
	return c.Conn.Write(p)
}

// After a failed write, what is counted is the frames of which the last byte has left.
func TestWriteCountsWholeFrames(t *testing.T) {
	t.Parallel()
	one, long := frame(0, []byte("12345")), frame(0, make([]byte, 300))
	sealed, sealedLong := curve.SealedSize(5), curve.SealedSize(300)
	for allowed, want := range map[int]int{
		0: 0, sealed - 1: 0, sealed: len(one), sealed + 1: len(one), 2 * sealed: 2 * len(one),
		2*sealed + sealedLong - 1: 2 * len(one), 2*sealed + sealedLong: 2*len(one) + len(long),
	} {
		public, cfg := serverConfig()
		server, client := pairOf(t, cfg, curve.ClientConfig{Server: public})
		limited := &cut{Conn: client.Conn, left: math.MaxInt}
		client.Conn = limited
		if _, err := open(client); err != nil {
			t.Fatal(err)
		}
		if n, err := client.Write(one[:3]); n != 3 || err != nil { // its start, which leaves later
			t.Fatal(n, err)
		}
		limited.left = allowed
		rest := bytes.Join([][]byte{one[3:], one, long, one}, nil)
		n, err := client.Write(rest)
		if err == nil || n != max(0, want-3) {
			t.Errorf("%d bytes through: %d, %v, want %d", allowed, n, err, max(0, want-3))
		}
		if _, err := client.Write(one); err == nil {
			t.Error("writing goes on")
		}
		server.Close()
	}
}

func TestNoncesEnd(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	client.Sealer().SetNonce(math.MaxUint64 - 1)
	last, err := client.Sealer().AppendFrame(nil, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Opener().Open(0, last[2:]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if b, err := client.Sealer().AppendFrame(nil, 0, nil); !errors.Is(err, curve.ErrExhausted) || len(b) > 0 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
}

func TestFramesAllocateNothing(t *testing.T) {
	server, client := pair(t)
	out := make([]byte, 0, 8192)
	body := make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() {
		out, _ = client.Sealer().AppendFrame(out[:0], 0, body)
		if _, _, err := server.Opener().Open(out[0], out[9:]); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	public, good := serverConfig()
	for name, err := range map[string]error{
		"no secret":    (&curve.ServerConfig{Authorise: curve.AnyKey}).Validate(),
		"no authorise": (&curve.ServerConfig{Secret: good.Secret}).Validate(),
		"no server":    (&curve.ClientConfig{}).Validate(),
		"negative":     (&curve.ClientConfig{Server: public, MaxFrame: -1}).Validate(),
		"empty name":   (&curve.ClientConfig{Server: public, Metadata: curve.Metadata{{}}}).Validate(),
		"name twice":   (&curve.ClientConfig{Server: public, Metadata: curve.Metadata{{Name: "a"}, {Name: "A"}}}).Validate(),
		"too long":     (&curve.ClientConfig{Server: public, Metadata: curve.Metadata{{Name: "a", Value: string(make([]byte, 17<<10))}}}).Validate(),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
