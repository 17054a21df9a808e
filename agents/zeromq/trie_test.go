package zeromq_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// Whatever is added and removed, the trie says what a plain set says, and keeps no nodes for what is gone.
func FuzzTrie(f *testing.F) {
	f.Add([]byte("+game +gamble +ga -gamble ?game + ?x - -ga -game"))
	f.Add([]byte("+a +ab +abc -ab -a -abc +b"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var trie zeromq.Trie
		set := map[string]bool{}
		for step := range strings.SplitSeq(string(script), " ") {
			if step == "" {
				continue
			}
			key := step[1:]
			switch step[0] {
			case '+':
				trie.Add(key)
				set[key] = true
			case '-':
				trie.Remove(key)
				delete(set, key)
			}
			if trie.Has(key) != set[key] {
				t.Fatalf("%q after %q: %v", key, script, trie.Has(key))
			}
			var keys, prefixes []string
			for k := range set {
				keys = append(keys, k)
				if strings.HasPrefix(key, k) {
					prefixes = append(prefixes, k)
				}
			}
			slices.Sort(keys)
			slices.Sort(prefixes)
			if got := trie.Keys(); !slices.Equal(got, keys) {
				t.Fatalf("keys %q, want %q", got, keys)
			}
			if got := trie.Match(key); !slices.Equal(got, prefixes) {
				t.Fatalf("%q matches %q, want %q", key, got, prefixes)
			}
			if n := trie.Nodes(); n > 2*len(set)+1 {
				t.Fatalf("%d nodes for %d keys", n, len(set))
			}
		}
	})
}

func BenchmarkTrieMatch(b *testing.B) {
	var trie zeromq.Trie
	for i := range 10_000 {
		trie.Add(fmt.Sprint("room/", i, "/chat"))
	}
	b.ReportAllocs()
	for b.Loop() {
		trie.Match("room/5000/chat/message")
	}
}
