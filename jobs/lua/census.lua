-- Lists the living and the dead, and declares those dead whose time has run out, if asked to. Once
-- declared dead an agent cannot come back without noticing.
-- KEYS[1] R  KEYS[2] R:dead
-- ARGV[1] 1: declare dead
-- Returns {living incarnations, {dead incarnation, when, ...}}.
-- Atomic.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] == '1' then
  for _, incarnation in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[1], incarnation)
    redis.call('ZADD', KEYS[2], now, incarnation)
  end
end
return {redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf'), redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')}
