package router_test

import (
	"fmt"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/router"
)

// FuzzSequencer lets deliveries come late, twice, early or not at all, and the history be read at any time,
// and compares with the model: each seq once, ascending, with its own body.
func FuzzSequencer(f *testing.F) {
	f.Add(uint8(4), []byte{0, 1, 2, 3})
	f.Add(uint8(1), []byte{9, 8, 7, 200, 6, 5, 4, 255})
	f.Add(uint8(0), []byte{0, 0, 2, 2, 1, 1, 250, 3})
	f.Fuzz(func(t *testing.T, limit uint8, ops []byte) {
		const start = 100
		s := router.NewSequencer(int(limit), start, "E")
		body := func(seq int64) []byte { return fmt.Append(nil, "body ", seq) }
		next, stored := int64(start+1), int64(start)
		check := func() {
			seqs, bodies := s.Ready()
			for i, seq := range seqs {
				if seq != next || bodies[i] != string(body(seq)) {
					t.Fatalf("got %d %q, want %d", seq, bodies[i], next)
				}
				next++
			}
			if s.Last() != next-1 {
				t.Fatalf("last is %d, want %d", s.Last(), next-1)
			}
			if s.Early() > int(limit) {
				t.Fatalf("%d early messages, limit %d", s.Early(), limit)
			}
		}
		read := func(upto int64) {
			for seq := s.Last() + 1; seq <= upto; seq++ {
				s.Fill(seq, body(seq))
			}
			s.Skip(upto)
		}
		for _, op := range ops {
			switch {
			case op < 200: // a job for one of the last or next messages
				seq := max(start-5, next-20) + int64(op%40)
				if seq < 1 {
					continue
				}
				stored = max(stored, seq)
				s.Accept(seq, "E", body(seq))
			case op < 220: // a piece of the history
				read(min(stored, s.Last()+int64(op-200)))
			default:
				read(stored)
			}
			check()
		}
		read(stored)
		check()
		if next != stored+1 {
			t.Fatalf("complete up to %d, want %d", next-1, stored)
		}
		if s.Early() != 0 {
			t.Fatalf("%d early messages are left", s.Early())
		}
	})
}

func TestPlan(t *testing.T) {
	t.Parallel()
	at := func(known bool, seq int64, epoch string) router.Resume {
		return router.Resume{Since: message.Position{Known: known, Seq: seq}, Epoch: epoch}
	}
	s := router.Standing{Seq: 50, Epoch: "E", Oldest: 11}
	empty := router.Standing{Seq: 50, Epoch: "E", Oldest: 51}
	for _, c := range []struct {
		name     string
		standing router.Standing
		resume   router.Resume
		floor    int64
		kind     router.Kind
		from     int64
		gap      bool
	}{
		{"none: live only", s, at(false, 0, ""), 0, router.Inbox, 50, false},
		{"zero without epoch: all, no gap", s, at(true, 0, ""), 0, router.Inbox, 10, false},
		{"zero with epoch: a gap", s, at(true, 0, "E"), 0, router.Inbox, 10, true},
		{"known place", s, at(true, 30, "E"), 0, router.Inbox, 30, false},
		{"just before the oldest", s, at(true, 10, "E"), 0, router.Inbox, 10, false},
		{"one too old", s, at(true, 9, "E"), 0, router.Inbox, 10, true},
		{"up to date", s, at(true, 50, "E"), 0, router.Inbox, 50, false},
		{"ahead: entries were lost", s, at(true, 51, "E"), 0, router.Inbox, 10, true},
		{"another epoch", s, at(true, 30, "D"), 0, router.Inbox, 10, true},
		{"another epoch, zero", s, at(true, 0, "D"), 0, router.Inbox, 10, true},
		{"no epoch", s, at(true, 30, ""), 0, router.Room, 10, true},
		{"global, no epoch", s, at(true, 30, ""), 0, router.Global, 30, false},
		{"global, no epoch, ahead", s, at(true, 99, ""), 0, router.Global, 10, true},
		{"joined later", s, at(true, 0, ""), 40, router.Room, 40, false},
		{"joined later, known place before", s, at(true, 5, "E"), 40, router.Room, 40, false},
		{"joined later, another epoch", s, at(true, 5, "D"), 40, router.Room, 40, true},
		{"nothing kept, behind", empty, at(true, 30, "E"), 0, router.Inbox, 50, true},
		{"nothing kept, up to date", empty, at(true, 50, "E"), 0, router.Inbox, 50, false},
		{"nothing kept, all", empty, at(true, 0, ""), 0, router.Inbox, 50, false},
	} {
		from, gap := router.Plan(c.standing, c.resume, c.floor, c.kind)
		if from != c.from || gap != c.gap {
			t.Errorf("%s: got from %d, gap %v, want %d, %v", c.name, from, gap, c.from, c.gap)
		}
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1}`:        `{"a":1,"seq":7,"epoch":"E"}`,
		`{"a":"{"}`:      `{"a":"{","seq":7,"epoch":"E"}`,
		"{\"a\":1 } \n":  `{"a":1 ,"seq":7,"epoch":"E"}`,
		`{}`:             `{"seq":7,"epoch":"E"}`,
		`{ }`:            `{ "seq":7,"epoch":"E"}`,
		``:               ``,
		`7`:              `7`,
		`[{"a":1}]`:      `[{"a":1}]`,
		`{"a":{"b":{}}}`: `{"a":{"b":{}},"seq":7,"epoch":"E"}`,
	} {
		if got := string(router.Stamp([]byte(in), 7, "E")); got != want {
			t.Errorf("Stamp(%s) = %s, want %s", in, got, want)
		}
	}
}
