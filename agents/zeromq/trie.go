package zeromq

import (
	"slices"
	"strings"
)

// trie holds values under byte strings; each node has the part of the key that its children share, so it
// takes memory by the number of keys, not by their length.
type trie[V any] struct {
	part     string
	value    V
	used     bool
	children []*trie[V] // sorted by the first byte of their part
}

func (t *trie[V]) child(c byte) (int, bool) {
	return slices.BinarySearchFunc(t.children, c, func(n *trie[V], c byte) int { return int(n.part[0]) - int(c) })
}

// at returns the value of key, which is made, zero, if there is none. The pointer is valid until the next
// change of the trie.
func (t *trie[V]) at(key string) *V {
	for key != "" {
		i, ok := t.child(key[0])
		if !ok {
			t.children = slices.Insert(t.children, i, &trie[V]{part: key})
			t = t.children[i]
			break
		}
		n := t.children[i]
		shared := sharedPrefix(n.part, key)
		if shared < len(n.part) { // split
			below := *n
			below.part = n.part[shared:]
			*n = trie[V]{part: n.part[:shared], children: []*trie[V]{&below}}
		}
		t, key = n, key[shared:]
	}
	t.used = true
	return &t.value
}

// find returns the value of key, nil if there is none.
func (t *trie[V]) find(key string) *V {
	for key != "" {
		i, ok := t.child(key[0])
		if !ok || !strings.HasPrefix(key, t.children[i].part) {
			return nil
		}
		t = t.children[i]
		key = key[len(t.part):]
	}
	if !t.used {
		return nil
	}
	return &t.value
}

// remove forgets key.
func (t *trie[V]) remove(key string) {
	if key == "" {
		var zero V
		t.value, t.used = zero, false
		return
	}
	i, ok := t.child(key[0])
	if !ok || !strings.HasPrefix(key, t.children[i].part) {
		return
	}
	n := t.children[i]
	n.remove(key[len(n.part):])
	switch {
	case n.used:
	case len(n.children) == 0:
		t.children = slices.Delete(t.children, i, i+1)
	case len(n.children) == 1: // merge
		below := n.children[0]
		below.part = n.part + below.part
		t.children[i] = below
	}
}

// match calls f with the value of every key that topic begins with, until f returns false.
func (t *trie[V]) match(topic []byte, f func(*V) bool) {
	for {
		if t.used && !f(&t.value) {
			return
		}
		if len(topic) == 0 {
			return
		}
		i, ok := t.child(topic[0])
		if !ok {
			return
		}
		t = t.children[i]
		if len(topic) < len(t.part) || string(topic[:len(t.part)]) != t.part {
			return
		}
		topic = topic[len(t.part):]
	}
}

// keys appends every key, sorted.
func (t *trie[V]) keys(prefix string, dst []string) []string {
	prefix += t.part
	if t.used {
		dst = append(dst, prefix)
	}
	for _, n := range t.children {
		dst = n.keys(prefix, dst)
	}
	return dst
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
