-- Prolongs the life of an agent.
-- KEYS[1] R
-- ARGV[1] incarnation  ARGV[2] ms it is believed to live
-- Returns 1, or 0 when the agent is not registered: it was declared dead, or the registry is new.
-- Atomic.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
return 1
