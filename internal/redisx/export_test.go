package redisx

// Judge is for versions and states that no server here can be brought into.
var Judge = judge

func ParseReplies(reply []byte, each func(*Entry)) (none, bad bool) {
	p := replies{rest: reply}
	p.streams(each)
	return p.none, p.bad
}
