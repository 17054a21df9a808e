//go:build unix

package zeromq

import (
	"net"
	"syscall"
)

// setBacklog calls listen again, which is how a backlog is changed; package net asks for the system's.
func setBacklog(l net.Listener, n int) error {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	err = raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), n) })
	if err != nil {
		return err
	}
	return listenErr
}
