-- Enters an agent into the registry.
-- KEYS[1] R  KEYS[2] R:dead  KEYS[3] R:i
-- ARGV[1] incarnation  ARGV[2] ms it is believed to live  ARGV[3] what is known of it
-- Returns 1.
-- Atomic.
local time = redis.call('TIME')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
return 1
