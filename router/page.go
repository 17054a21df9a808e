package router

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// pageSize is how many entries are read from a history at a time.
const pageSize = 100

// page is a piece of a history and where the history stood when it was read.
type page struct {
	seq     int64
	epoch   string // "" when there is no history
	oldest  int64
	was     string // the lives before this one, "<epoch> <seq> " each: up to where they agree with it
	entries []entry
}

type entry struct {
	seq  int64
	body []byte
}

// page reads up to pageSize entries of h from seq on; to is a seq or "+".
func (r *Router) page(ctx context.Context, h History, from int64, to string) (page, error) {
	cmd := r.redis.Eval(ctx, r.scripts.page, []string{r.key(h, ":h"), r.key(h, ":l")}, from, to, pageSize)
	v := reply(cmd)
	p := page{seq: v.int(0), epoch: v.str(1), oldest: v.int(2), was: v.str(3)}
	for i := 4; i+1 < len(v.values); i += 2 {
		p.entries = append(p.entries, entry{v.int(i), []byte(v.str(i + 1))})
	}
	if v.err != nil {
		return page{}, fmt.Errorf("router: read a history: %w", v.err)
	}
	return p, nil
}

// agrees is up to which of the numbers up to last of an earlier life this one has the same messages.
func (p page) agrees(life string, last int64) (upto int64, known bool) {
	lives := strings.Fields(p.was)
	for i := 0; i+1 < len(lives); i += 2 {
		known = known || lives[i] == life
		if end, err := strconv.ParseInt(lives[i+1], 10, 64); known && err == nil {
			last = min(last, end)
		}
	}
	return last, known
}

func seqText(seq int64) string { return strconv.FormatInt(seq, 10) }

// answer reads the array that a script returned. The first thing that is not as expected becomes err.
type answer struct {
	values []any
	err    error
}

func reply(cmd *redis.Cmd) *answer {
	values, err := cmd.Slice()
	return &answer{values, err}
}

func (a *answer) at(i int) any {
	if i < len(a.values) {
		return a.values[i]
	}
	a.fail(i)
	return nil
}

func (a *answer) int(i int) int64 {
	v, ok := a.at(i).(int64)
	if !ok {
		a.fail(i)
	}
	return v
}

func (a *answer) str(i int) string {
	v, ok := a.at(i).(string)
	if !ok {
		a.fail(i)
	}
	return v
}

func (a *answer) array(i int) *answer {
	v, ok := a.at(i).([]any)
	if !ok {
		a.fail(i)
	}
	return &answer{values: v, err: a.err}
}

func (a *answer) strings() []string {
	var out []string
	for i := range a.values {
		out = append(out, a.str(i))
	}
	return out
}

func (a *answer) fail(i int) {
	if a.err == nil {
		a.err = fmt.Errorf("router: a script returned something else at %d", i)
	}
}
