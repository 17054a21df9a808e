package redisx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Entry is one entry of a stream. It is valid until the function that got it returns; its values, which share
// the memory of Redis's whole reply, for as long as they are kept.
type Entry struct {
	Stream string
	ID     []byte
	Fields [][]byte // name, value, and so on
}

// Value gives a field, nil when there is none.
func (e *Entry) Value(name string) []byte {
	for i := 0; i+1 < len(e.Fields); i += 2 {
		if string(e.Fields[i]) == name {
			return e.Fields[i+1]
		}
	}
	return nil
}

var errReply = errors.New("redis: the reply to XREADGROUP cannot be read")

// Group reads streams for one consumer of a group. It is not safe for concurrent use.
type Group struct {
	reads           *Readers
	group, consumer string
	streams         []string
	args            []any
	size            int // of a reply, as expected
}

// Group makes a Group.
func (r *Readers) Group(group, consumer string, streams []string) *Group {
	g := &Group{reads: r, group: group, consumer: consumer, streams: streams}
	g.args = []any{"xreadgroup", "group", group, consumer, "count", 0, "block", 0, "streams"}
	for _, s := range streams {
		g.args = append(g.args, s)
	}
	for range streams {
		g.args = append(g.args, ">")
	}
	return g
}

const firstStream = 9 // in Group.args

// Read is XREADGROUP of what is new, without a map and its strings for each entry. each gets what was
// delivered, and the size of the whole reply. The error is redis.Nil when nothing has come within block, which is to
// be shorter than a connection's silence may last.
func (g *Group) Read(ctx context.Context, count int, block time.Duration, each func(e *Entry, size int)) error {
	g.args[5], g.args[7] = count, block.Milliseconds()
	s := sink{make([]byte, 0, g.size)}
	cmd := redis.NewRawWriteToCmd(ctx, &s, g.args...)
	cmd.SetFirstKeyPos(firstStream)
	if err := g.reads.Process(ctx, cmd); err != nil {
		return err
	}
	if len(s.data) > 0 && (s.data[0] == '-' || s.data[0] == '!') {
		// It has delivered nothing. The driver knows what to do about each error, but not of a raw reply's.
		return g.reads.readGroup(ctx, g.group, g.consumer, g.streams, count, block, each)
	}
	g.size = min(len(s.data)+len(s.data)/8, maxExpected)
	p := replies{rest: s.data}
	p.streams(func(e *Entry) { each(e, len(s.data)) })
	switch {
	case p.bad:
		return errReply
	case p.none:
		return redis.Nil
	}
	return nil
}

// maxExpected bounds what is allocated before a reply is there.
const maxExpected = 256 << 10

// A sink collects a reply.
type sink struct{ data []byte }

func (s *sink) Write(b []byte) (int, error) {
	s.data = append(s.data, b...)
	return len(b), nil
}

// ReadFrom spares io.CopyN a buffer for each value.
func (s *sink) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{s}, r)
	}
	size, n := len(s.data), int(limited.N)
	s.data = slices.Grow(s.data, n)
	got, err := io.ReadFull(limited.R, s.data[size:size+n])
	limited.N -= int64(got)
	s.data = s.data[:size+got]
	return int64(got), err
}

func (r *Readers) readGroup(ctx context.Context, group, consumer string, streams []string, count int, block time.Duration, each func(e *Entry, size int)) error {
	keys := append([]string(nil), streams...)
	for range streams {
		keys = append(keys, ">")
	}
	list, err := r.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: consumer, Streams: keys, Count: int64(count), Block: block}).Result()
	if err != nil {
		return err
	}
	for _, st := range list {
		for _, m := range st.Messages {
			e := Entry{Stream: st.Stream, ID: []byte(m.ID)}
			for name, v := range m.Values {
				text, _ := v.(string)
				e.Fields = append(e.Fields, []byte(name), []byte(text))
			}
			each(&e, 0)
		}
	}
	return nil
}

// replies reads what Redis answers, RESP2 or RESP3.
type replies struct {
	rest      []byte
	none, bad bool
}

// streams reads a list of streams, or a map of them, with their entries.
func (p *replies) streams(each func(*Entry)) {
	kind, n := p.header()
	if n < 0 {
		p.none = true
		return
	}
	if kind != '*' && kind != '%' {
		p.bad = true
	}
	var e Entry
	for ; n > 0 && !p.bad; n-- {
		if kind == '*' && p.list() != 2 {
			p.bad = true
			return
		}
		e.Stream = string(p.bulk())
		for entries := p.list(); entries > 0 && !p.bad; entries-- {
			if p.list() != 2 {
				p.bad = true
				return
			}
			e.ID = p.bulk()
			e.Fields = e.Fields[:0]
			for fields := p.list(); fields > 0 && !p.bad; fields-- {
				e.Fields = append(e.Fields, p.bulk())
			}
			if !p.bad {
				each(&e)
			}
		}
	}
	p.bad = p.bad || len(p.rest) > 0
}

// header reads a line: what follows, and how much of it; -1 for null.
func (p *replies) header() (kind byte, n int) {
	line, rest, ok := bytes.Cut(p.rest, []byte("\r\n"))
	if !ok || len(line) == 0 {
		p.bad, p.rest = true, nil
		return 0, 0
	}
	p.rest = rest
	if line[0] == '_' {
		return line[0], -1
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < -1 {
		p.bad = true
		return 0, 0
	}
	return line[0], n
}

func (p *replies) list() int {
	kind, n := p.header()
	if kind == '_' {
		return 0
	}
	if kind != '*' {
		p.bad = true
		return 0
	}
	return n
}

func (p *replies) bulk() []byte {
	kind, n := p.header()
	if kind != '$' || n < 0 || len(p.rest) < n+2 {
		p.bad, p.rest = true, nil
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n+2:]
	return b
}
