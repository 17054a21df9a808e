package observables_test

import (
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// wait fails the test if c is not closed soon.
func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: not after 20 s", what)
	}
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}
