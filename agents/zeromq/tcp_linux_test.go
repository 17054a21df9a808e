package zeromq_test

import (
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// control calls f with the descriptor of a connection or listener.
func control(t testing.TB, c any, f func(fd int)) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TCPKeepAlive holds for both ends of a connection, whoever dials.
func TestTCPKeepAlive(t *testing.T) {
	t.Parallel()
	for want, option := range map[int]time.Duration{0: -1, 15: 0, 42: 42 * time.Second} {
		a, url := bound(t, zmq4.Pull, zeromq.Options{TCPKeepAlive: option})
		b := dialled(t, zmq4.Push, zeromq.Options{TCPKeepAlive: option}, url)
		for _, s := range []*zeromq.Socket{a, b} {
			peers(t, s, 1)
			control(t, zeromq.Conn(s), func(fd int) {
				on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
				if err != nil || (on != 0) != (want != 0) {
					t.Errorf("TCPKeepAlive %v: SO_KEEPALIVE %d, %v", option, on, err)
				}
				if idle, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE); want != 0 && idle != want {
					t.Errorf("TCPKeepAlive %v: TCP_KEEPIDLE %d, %v", option, idle, err)
				}
			})
		}
	}
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	s, _ := bound(t, zmq4.Pull, zeromq.Options{Backlog: 7})
	control(t, zeromq.Listener(s), func(fd int) {
		var info [104]byte // struct tcp_info; of a listener tcpi_sacked is the backlog
		size := uint32(len(info))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if backlog := *(*uint32)(unsafe.Pointer(&info[28])); errno != 0 || backlog != 7 {
			t.Errorf("a backlog of %d, %v", backlog, errno)
		}
	})
}
