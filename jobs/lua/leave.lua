-- Moves an agent that leaves in order from the living to the dead: its inbox is emptied at once.
-- KEYS[1] R  KEYS[2] R:dead
-- ARGV[1] incarnation
-- Returns 1, or 0 when it was not among the living.
-- Atomic.
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return 1
