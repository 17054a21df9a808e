package jobs

import (
	"hash/fnv"
	"strconv"
)

// keys names everything the broker keeps in Redis. doc.go lists it.
type keys struct{ prefix string }

func (k keys) queue(name string, part int) string {
	return "{" + k.prefix + ":q:" + name + ":" + strconv.Itoa(part) + "}"
}
func (k keys) inbox(incarnation string) string { return "{" + k.prefix + ":a:" + incarnation + "}" }
func (k keys) inboxDead() string               { return "{" + k.prefix + ":a}:dead" }
func (k keys) broadcast() string               { return "{" + k.prefix + ":bc}" }
func (k keys) queues() string                  { return "{" + k.prefix + ":queues}" }
func (k keys) janitor() string                 { return "{" + k.prefix + ":janitor}" }
func (k keys) cron() string                    { return "{" + k.prefix + ":cron}" }
func (k keys) agents() string                  { return "{" + k.prefix + ":agents}" }

// partition is where the jobs of a key go: always the same place.
func partition(key string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(n))
}
