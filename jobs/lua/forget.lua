-- Takes an agent whose inbox was buried out of the registry, unless it has died again since.
-- KEYS[1] R:dead  KEYS[2] R:i
-- ARGV[1] incarnation  ARGV[2] when it was declared dead
-- Returns 1, or 0.
-- Atomic.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
