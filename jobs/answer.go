package jobs

import (
	"strconv"
)

// text reads one value of a script's answer.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = text(e)
	}
	return out
}

// whole reads a number that Redis may show as an integer or in floating point.
func whole(s string) int64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64)
	return int64(f)
}

// An entry is one job of a queue as scripts return it; queue.lua says what a ref is.
type entry struct {
	ref, key string
	envelope []byte
	admitted string // 1: a rate has let it pass
	permit   string // type of a job that has a permit
}

func entries(list []any) []entry {
	out := make([]entry, 0, len(list))
	for _, e := range list {
		f := texts(e)
		if len(f) < 3 {
			continue
		}
		one := entry{ref: f[0], envelope: []byte(f[1]), key: f[2]}
		if len(f) > 3 {
			one.admitted = f[3]
		}
		out = append(out, one)
	}
	return out
}
