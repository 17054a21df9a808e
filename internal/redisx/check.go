package redisx

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Check looks whether Redis is fit to keep what must not be lost. An error says why not and what to do;
// warnings are about what may be meant so. Of a Cluster every master is asked. It needs no rights but those for
// PING and INFO, and without INFO it warns that it could not look.
func (c *Client) Check(ctx context.Context) (warnings []string, err error) {
	cluster, ok := c.UniversalClient.(*redis.ClusterClient)
	if !ok {
		return check(ctx, c.UniversalClient, false)
	}
	var mu sync.Mutex // masters are asked at the same time
	seen := make(map[string]bool)
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found, err := check(ctx, node, true)
		mu.Lock()
		defer mu.Unlock()
		for _, w := range found {
			if !seen[w] {
				seen[w] = true
				warnings = append(warnings, w)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", node.Options().Addr, err)
		}
		return nil
	})
	if err != nil && !strings.HasPrefix(err.Error(), "redis: ") && !strings.Contains(err.Error(), ": redis: ") {
		err = reachable(err) // no node could be asked at all
	}
	return warnings, err
}

func check(ctx context.Context, node redis.Cmdable, cluster bool) (warnings []string, err error) {
	text, err := node.Info(ctx).Result()
	switch {
	case denied(err):
		if err := node.Ping(ctx).Err(); err != nil && !denied(err) {
			return nil, reachable(err)
		}
		return []string{"Redis could not be checked: its user may not call INFO (ACL SETUSER … +info). It must be version 7.0 or newer, with maxmemory-policy noeviction and appendonly yes"}, nil
	case err != nil:
		return nil, reachable(err)
	}
	info := make(map[string]string)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok {
			info[k] = strings.TrimSpace(v)
		}
	}
	return judge(info, cluster)
}

// judge reads what INFO says.
func judge(info map[string]string, cluster bool) (warnings []string, err error) {
	version := info["redis_version"] // Valkey says 7.2.4, with which it is compatible
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 7 {
		return nil, fmt.Errorf("redis: version %s is too old; 7.0 or newer is needed (or Valkey)", version)
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		if limit := info["maxmemory"]; limit != "" && limit != "0" {
			return nil, fmt.Errorf("redis: maxmemory-policy is %s: with maxmemory reached it would delete messages and jobs without a word. "+
				"Set it to noeviction: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf", policy)
		}
		warnings = append(warnings, fmt.Sprintf("Redis has maxmemory-policy %s: as soon as it is given a maxmemory it would delete messages and jobs. "+
			"Set it to noeviction: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf", policy))
	}
	if info["aof_enabled"] == "0" {
		warnings = append(warnings, "Redis has appendonly no: what was acknowledged since its last snapshot is gone when it ends. "+
			"To keep it: CONFIG SET appendonly yes, and the same in redis.conf")
	}
	if info["aof_last_write_status"] == "err" || info["rdb_last_bgsave_status"] == "err" {
		warnings = append(warnings, "Redis cannot write to its disk (INFO persistence): is it full?")
	}
	if info["role"] == "slave" {
		return warnings, errors.New("redis: this server is a replica, which takes no writes; name its master, or use redis+sentinel:// or redis+cluster://")
	}
	if info["cluster_enabled"] == "1" && !cluster {
		return warnings, errors.New("redis: this server is a node of a Cluster; use redis+cluster://host:port,host:port")
	}
	return warnings, nil
}

// reachable says what may be wrong when Redis does not answer as it should.
func reachable(err error) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "NOAUTH"):
		return fmt.Errorf("redis: it wants a password; put it into the URL, redis://:password@host:port or redis://user:password@host:port: %w", err)
	case strings.HasPrefix(text, "WRONGPASS"), strings.Contains(text, "invalid password"):
		return fmt.Errorf("redis: it refuses the user or the password of the URL: %w", err)
	case strings.Contains(text, "certificate"):
		return fmt.Errorf("redis: its certificate is not trusted; name the authority's in the URL, rediss://host:port?ca=/path/ca.pem: %w", err)
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return fmt.Errorf("redis: it does not speak TLS on this port; use redis:// instead of rediss://: %w", err)
	case strings.HasSuffix(text, "EOF"), strings.Contains(text, "connection reset"):
		return fmt.Errorf("redis: it hangs up; if it speaks TLS on this port use rediss:// instead of redis://: %w", err)
	case errors.Is(err, context.DeadlineExceeded), strings.HasSuffix(text, "i/o timeout"):
		return fmt.Errorf("redis: it does not answer in time; is the URL right, and is rediss:// (with TLS) or redis:// (without) what this port speaks? %w", err)
	case strings.HasPrefix(text, "LOADING"):
		return fmt.Errorf("redis: it is still loading its data; try again: %w", err)
	}
	return fmt.Errorf("redis: it does not answer; is it running and the URL right? %w", err)
}

func denied(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOPERM") }
