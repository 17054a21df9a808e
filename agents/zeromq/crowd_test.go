package zeromq_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crowdOf is set in the environment of a test binary that is not to test but to be many peers.
const crowdOf = "ZEROMQ_TEST_CROWD"

// crowd is many idle peers in a process of their own, so that what is measured here is our side only.
type crowd struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// startCrowd connects n raw peers of a socket type and returns when all are past their handshake.
func startCrowd(t testing.TB, n int, socketType, address string) *crowd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", crowdOf, n, socketType, address))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	c := &crowd{in, bufio.NewReader(out)}
	c.await(t, "up")
	return c
}

func (c *crowd) await(t testing.TB, word string) {
	t.Helper()
	if line, err := c.out.ReadString('\n'); strings.TrimSpace(line) != word {
		t.Fatalf("the crowd says %q, %v, want %q", line, err, word)
	}
}

// speak makes each of the crowd say one thing and wait for the echo.
func (c *crowd) speak(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(c.in, "speak\n"); err != nil {
		t.Fatal(err)
	}
	c.await(t, "spoken")
}

// beCrowd is the other process. It ends with its standard input.
func beCrowd(order string) error {
	words := strings.Fields(order)
	n, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	for i := range conns {
		if conns[i], err = enroll(words[1], words[2]); err != nil {
			return fmt.Errorf("peer %d: %w", i, err)
		}
	}
	fmt.Println("up")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		for i, conn := range conns {
			if _, err := conn.Write(frame(0, []byte("here"))); err != nil {
				return fmt.Errorf("peer %d: %w", i, err)
			}
			if _, _, err := readFrame(conn); err != nil {
				return fmt.Errorf("peer %d: %w", i, err)
			}
		}
		fmt.Println("spoken")
	}
	return nil
}

// enroll is a raw handshake without a test.
func enroll(socketType, address string) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(2 * patience))
	if _, err := conn.Write(hello(socketType, "")); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 64)); err != nil {
		return nil, err
	}
	_, _, err = readFrame(conn)
	return conn, err
}
