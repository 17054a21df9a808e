package curve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const patience = 30 * time.Second

// listen calls serve with every connection, on a goroutine that the test joins.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		running := make(chan struct{}, 1000)
		started := 0
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			started++
			conn.SetDeadline(time.Now().Add(patience))
			go func() {
				defer func() { running <- struct{}{} }()
				defer conn.Close()
				serve(conn)
			}()
		}
		for range started {
			<-running
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// serverConfig admits everybody.
func serverConfig() (curve.PublicKey, curve.ServerConfig) {
	public, secret := curve.GenerateKeyPair()
	return public, curve.ServerConfig{
		Secret: secret, Authorise: curve.AnyKey, Cookies: curve.NewCookies(), MaxFrame: 20 << 20,
		Metadata: curve.SocketMetadata("ROUTER", ""),
	}
}

// pair is both ends of a connection after its handshake.
func pair(t testing.TB) (server, client *curve.Conn) {
	t.Helper()
	public, cfg := serverConfig()
	return pairOf(t, cfg, curve.ClientConfig{Server: public, Metadata: curve.SocketMetadata("DEALER", "ann"), MaxFrame: 20 << 20})
}

func pairOf(t testing.TB, sc curve.ServerConfig, cc curve.ClientConfig) (server, client *curve.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client = curve.Client(dial(t, l.Addr().String()), cc)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	server = curve.Server(conn, sc)
	ended := make(chan error, 1)
	go func() { ended <- server.Handshake(context.Background()) }()
	if err := errors.Join(client.Handshake(context.Background()), <-ended); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// The bytes of ZMTP with mechanism NULL, by hand.

func greeting(mechanism string) []byte {
	b := make([]byte, 64)
	b[0], b[9], b[10], b[11] = 0xff, 0x7f, 3, 1
	copy(b[12:], mechanism)
	return b
}

func frame(flags byte, body []byte) []byte {
	if len(body) < 256 {
		return append([]byte{flags, byte(len(body))}, body...)
	}
	return append(binary.BigEndian.AppendUint64([]byte{flags | 2}, uint64(len(body))), body...)
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

// open writes a NULL greeting and READY to c, and reads the peer's.
func open(c *curve.Conn) (ready []byte, err error) {
	if _, err := c.Write(append(greeting("NULL"), frame(4, []byte("\x05READY"))...)); err != nil {
		return nil, err
	}
	var b [64]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return nil, err
	}
	if !bytes.Equal(b[12:17], []byte("NULL\x00")) {
		return nil, errors.New("mechanism is not NULL")
	}
	flags, ready, err := readFrame(c)
	if err == nil && flags != 4 {
		err = errors.New("READY is no command")
	}
	return ready, err
}

// echo sends back what comes and answers PING.
func echo(c *curve.Conn) error {
	if _, err := open(c); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		flags, body, err := readFrame(r)
		if err != nil {
			return err
		}
		if flags == 4 {
			if bytes.HasPrefix(body, []byte("\x04PING")) {
				body = append([]byte("\x04PONG"), body[7:]...)
			} else {
				continue
			}
		}
		if _, err := c.Write(frame(flags, body)); err != nil {
			return err
		}
	}
}

// python is a peer.py process.
type python struct{ lines *bufio.Scanner }

func startPython(t testing.TB, args ...string) *python {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"testdata/peer.py"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; apt-get install python3-zmq", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &python{bufio.NewScanner(out)}
}

func (p *python) line(t testing.TB) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("python peer ended: %v; if it cannot import zmq: apt-get install python3-zmq", p.lines.Err())
	}
	return p.lines.Text()
}
