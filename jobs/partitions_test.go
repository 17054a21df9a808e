package jobs_test

import (
	"errors"
	"testing"

	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestPartitions: the first agent decides, the others follow or are refused.
func TestPartitions(t *testing.T) {
	t.Parallel()
	c := client(t, testredis.Start(t).URL)
	for i, step := range []struct {
		want int
		keep bool
		got  int
		err  error
	}{
		{0, false, 1, nil}, {3, false, 3, nil}, {4, true, 4, nil}, {0, true, 4, nil}, {4, true, 4, nil}, {5, true, 0, jobs.ErrPartitions}, {5, false, 0, jobs.ErrPartitions},
	} {
		if got, err := jobs.Partitions(t.Context(), c, "m", step.want, step.keep); got != step.got || !errors.Is(err, step.err) {
			t.Errorf("step %d: %d, %v, want %d, %v", i, got, err, step.got, step.err)
		}
	}
	if got, err := jobs.Partitions(t.Context(), c, "other", 0, true); got != 1 || err != nil {
		t.Errorf("another mesh: %d, %v", got, err)
	}
}
