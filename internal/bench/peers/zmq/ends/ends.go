package ends

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// HWM is how many messages a queue holds, of every implementation that lets it be said.
const HWM = 10_000

// What a message is, at its byte 16, behind its number.
const (
	ordinary = iota
	last
)

// Options of a role, by name.
type Options map[string]string

// ParseOptions reads name=value.
func ParseOptions(args []string) Options {
	o := Options{}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		o[name] = value
	}
	return o
}

// Int is a number, or otherwise when it is not given.
func (o Options) Int(name string, otherwise int) int {
	if n, err := strconv.Atoi(o[name]); err == nil {
		return n
	}
	return otherwise
}

// Keys are those of option curve: the server's secret and public key, then the client's; nil without it.
func (o Options) Keys() (keys [][]byte) {
	if o["curve"] == "" {
		return nil
	}
	for s := range strings.SplitSeq(o["curve"], ",") {
		k, err := hex.DecodeString(s)
		Must(err)
		keys = append(keys, k)
	}
	return keys
}

// Socket is what is measured. A ROUTER's messages begin with the routing id.
type Socket interface {
	Send(frames [][]byte) error
	Recv() ([][]byte, error)
}

// Maker makes a ROUTER that is bound and prints its endpoint, or a DEALER called id that is connected.
type Maker struct {
	Router func(Options) Socket
	Dealer func(o Options, id string) Socket
}

// Play plays a role to its end.
func (m Maker) Play(role string, o Options) {
	switch role {
	case "send":
		m.send(o)
	case "receive":
		m.receive(o)
	case "echo":
		Serve()
		s := m.Router(o)
		for {
			Must(s.Send(Got(s.Recv())))
		}
	case "ask":
		m.ask(o)
	default:
		Void("no such role: %s", role)
	}
}

// open also returns what a message to the other end begins with.
func (m Maker) open(o Options) (Socket, [][]byte) {
	if o["type"] == "router" {
		return m.Router(o), [][]byte{[]byte("d")}
	}
	s := m.Dealer(o, "d")
	Must(s.Send([][]byte{[]byte("hi")}))
	return s, nil
}

func (m Maker) send(o Options) {
	s, to := m.open(o)
	Got(s.Recv()) // hi or go
	frames := slices.Clone(to)
	source := NewSource(o)
	c := CPU()
	for !source.Done {
		frames = append(frames[:len(to)], source.Next()...)
		Must(s.Send(frames))
	}
	Got(s.Recv()) // ok
	Result("cpu=%d", CPU()-c)
}

func (m Maker) receive(o Options) {
	s, to := m.open(o)
	if to != nil {
		Got(s.Recv())
		Must(s.Send(append(slices.Clone(to), []byte("go"))))
	}
	var counter Counter
	for !counter.Count(Got(s.Recv())) {
	}
	Must(s.Send(append(slices.Clone(to), []byte("ok"))))
	counter.Report()
}

func (m Maker) ask(o Options) {
	s := m.Dealer(o, "asker")
	Ask(o, func(frames [][]byte) [][]byte {
		Must(s.Send(frames))
		return Got(s.Recv())
	})
}

// Ask measures round trips.
func Ask(o Options, trip func([][]byte) [][]byte) {
	size, rounds := o.Int("size", 64), o.Int("n", 5000)
	took := make([]time.Duration, 0, rounds)
	var c int64
	for i := -rounds / 10; i < rounds; i++ {
		if i == 0 {
			c = CPU()
		}
		body := make([]byte, size)
		binary.LittleEndian.PutUint64(body[8:], uint64(i))
		began := time.Now()
		back := trip([][]byte{body})
		t := time.Since(began)
		if !bytes.Equal(back[len(back)-1], body) {
			Void("another message came back")
		}
		if i >= 0 {
			took = append(took, t)
		}
	}
	c = CPU() - c
	slices.Sort(took)
	Result("messages=%d cpu=%d p50=%d p99=%d", rounds, c, took[rounds/2].Nanoseconds(), took[rounds*99/100].Nanoseconds())
}

// Source makes the messages of a sender, until its time is over.
type Source struct {
	Done bool

	n       uint64
	end     time.Time
	message [][]byte
}

// NewSource begins now.
func NewSource(o Options) *Source {
	s := &Source{end: time.Now().Add(time.Duration(o.Int("ms", 500)) * time.Millisecond)}
	for range o.Int("frames", 1) - 1 {
		s.message = append(s.message, []byte("0123456789abcdef"))
	}
	s.message = append(s.message, make([]byte, o.Int("size", 64)))
	return s
}

// Next is one message, valid until the following one: every implementation here has copied it by then.
func (s *Source) Next() [][]byte {
	s.Done = s.n%64 == 0 && time.Now().After(s.end)
	body := s.message[len(s.message)-1]
	binary.LittleEndian.PutUint64(body[8:], s.n)
	if s.n++; s.Done {
		body[16] = last
	}
	return s.message
}

// Counter is the other end of a Source.
type Counter struct {
	n     uint64
	began time.Time
	cpu   int64
	took  time.Duration
}

// Count takes the next message and reports whether it was the last.
func (c *Counter) Count(frames [][]byte) bool {
	if c.n == 0 {
		c.began, c.cpu = time.Now(), CPU()
	}
	body := frames[len(frames)-1]
	if len(body) < 17 {
		Void("message of %d bytes", len(body))
	}
	if seq := binary.LittleEndian.Uint64(body[8:]); seq != c.n {
		Void("message %d where %d was due", seq, c.n)
	}
	c.n++
	if body[16] != last {
		return false
	}
	c.took = time.Since(c.began)
	return true
}

// Report prints what was counted, and ends.
func (c *Counter) Report() {
	Result("messages=%d ns=%d cpu=%d", c.n, c.took.Nanoseconds(), CPU()-c.cpu)
}

// AtEnd is called before the process ends, if it is not nil.
var AtEnd func()

// Serve ends the process when its standard input does: a server's result is what others measure.
func Serve() {
	go func() {
		waitForTheEnd()
		os.Exit(0)
	}()
}

func waitForTheEnd() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	if AtEnd != nil {
		AtEnd()
	}
}

// Endpoint prints where a socket is bound.
func Endpoint(e string) { fmt.Println("endpoint", e) }

// Result prints figures and waits for the end.
func Result(format string, args ...any) {
	fmt.Printf("result "+format+"\n", args...)
	waitForTheEnd()
	os.Exit(0)
}

// Void says why there is no figure, and ends.
func Void(format string, args ...any) {
	fmt.Printf("void "+format+"\n", args...)
	waitForTheEnd()
	os.Exit(1)
}

// Must voids the figure on an error.
func Must(err error) {
	if err != nil {
		Void("%v", err)
	}
}

// Got is Must for what comes with a value.
func Got[T any](v T, err error) T {
	Must(err)
	return v
}

// CPU is what the process has used, in microseconds.
func CPU() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000
}
