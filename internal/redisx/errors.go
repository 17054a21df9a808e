package redisx

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Unreachable reports whether a command failed because Redis does not answer now, and not because of what
// was asked. Whether it was executed is unknown.
func Unreachable(err error) bool {
	var network net.Error
	if errors.As(err, &network) {
		return true
	}
	for _, e := range [...]error{io.EOF, io.ErrUnexpectedEOF, redis.ErrClosed, redis.ErrPoolTimeout, redis.ErrPoolExhausted} {
		if errors.Is(err, e) {
			return true
		}
	}
	var reply redis.Error
	return errors.As(err, &reply) && passing(reply.Error())
}

// passing tells the replies that speak of the server's state: a moment later it may answer.
func passing(reply string) bool {
	for _, prefix := range [...]string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "NOREPLICAS", "MISCONF", "OOM"} {
		if strings.HasPrefix(reply, prefix) {
			return true
		}
	}
	return false
}
