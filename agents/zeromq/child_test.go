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

// childOrder is set in the environment of a test binary that is not to test but to be the peers, so that
// what is measured here is our side only.
const childOrder = "ZEROMQ_TEST_CHILD"

// child is that process.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts a process that does what order says, on one processor.
func startChild(t testing.TB, order string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childOrder+"="+order, "GOMAXPROCS=1")
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
	c := &child{cmd, in, bufio.NewReader(out)}
	t.Cleanup(c.end)
	return c
}

// end kills the process; nothing of it is left.
func (c *child) end() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

func (c *child) await(t testing.TB, word string) {
	t.Helper()
	if line, err := c.out.ReadString('\n'); strings.TrimSpace(line) != word {
		t.Errorf("the other process says %q, %v, want %q", line, err, word)
	}
}

// obey is what the other process does.
func obey(order string) error {
	words := strings.Fields(order)
	n, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	switch words[0] {
	case "crowd":
		return beCrowd(n, words[2], words[3])
	case "visit":
		if err := beVisitors(n, words[2], words[3]); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "over")
		return nil
	case "siege":
		if err := besiege(n, words[2], words[3], words[4]); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "over")
		return nil
	}
	return fmt.Errorf("unknown order %q", order)
}

// startCrowd connects n idle raw peers of a socket type and returns when all are past their handshake.
func startCrowd(t testing.TB, n int, socketType, address string) *child {
	t.Helper()
	c := startChild(t, fmt.Sprintf("crowd %d %s %s", n, socketType, address))
	c.await(t, "up")
	return c
}

// speak makes each of a crowd say one thing and wait for the echo.
func (c *child) speak(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(c.in, "speak\n"); err != nil {
		t.Fatal(err)
	}
	c.await(t, "spoken")
}

// beCrowd ends with its standard input.
func beCrowd(n int, socketType, address string) error {
	conns := make([]net.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = enroll(socketType, address); err != nil {
			return fmt.Errorf("peer %d: %w", i, err)
		}
	}
	fmt.Fprintln(os.Stdout, "up")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		for i, conn := range conns {
			if _, err := conn.Write(frame(0, []byte("here"))); err != nil {
				return fmt.Errorf("peer %d: %w", i, err)
			}
			if _, _, err := readFrame(conn); err != nil {
				return fmt.Errorf("peer %d: %w", i, err)
			}
		}
		fmt.Fprintln(os.Stdout, "spoken")
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
