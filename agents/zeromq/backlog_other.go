//go:build !unix

package zeromq

import "net"

// setBacklog leaves it at the system's.
func setBacklog(net.Listener, int) error { return nil }
