package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// clusterPartitions is how many parts a queue has on a Cluster unless somebody says otherwise: enough for a dozen
// masters to share the load, few enough for a quiet queue to cost little.
const clusterPartitions = 8

// ErrPartitions says that the mesh has another number of partitions than was asked for.
var ErrPartitions = errors.New("jobs: the mesh has another number of partitions")

// Partitions gives the number that Config.Partitions must have for a mesh: all its agents must agree, so the
// first one to ask decides, and Redis keeps it. want 0 means what the mesh has, or else what suits the topology:
// 8 on a Cluster, 1 elsewhere. With keep false nothing is decided.
func Partitions(ctx context.Context, client *redisx.Client, prefix string, want int, keep bool) (int, error) {
	or(&prefix, "m")
	n := want
	if n == 0 {
		n = 1
		if _, cluster := client.UniversalClient.(*redis.ClusterClient); cluster {
			n = clusterPartitions
		}
	}
	key := keys{prefix}.queues() + ":cfg"
	if keep {
		if err := client.HSetNX(ctx, key, "partitions", n).Err(); err != nil {
			return 0, fmt.Errorf("jobs: agree on partitions: %w", err)
		}
	}
	has, err := client.HGet(ctx, key, "partitions").Int()
	switch {
	case errors.Is(err, redis.Nil):
		return n, nil
	case err != nil:
		return 0, fmt.Errorf("jobs: agree on partitions: %w", err)
	case want != 0 && want != has:
		return 0, fmt.Errorf("%w: it has %d and not %d; empty its queues, stop all agents and delete %s to change that", ErrPartitions, has, want, key)
	}
	return has, nil
}
