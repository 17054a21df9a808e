-- Puts a session that is about to be made into the index of its user.
-- KEYS[1]  the index of the user, ZSET digest by expiry (ms)
-- ARGV     digest, time to live (ms), most live sessions, keep (ms: how long an ended one stays)
-- Returns  the time (ms), or -1 when the user has as many live sessions as allowed
-- Atomic: two agents cannot both take the last free place.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function ms(n) return string.format('%.0f', n) end
local keep = tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms(now - keep))
if redis.call('ZCOUNT', KEYS[1], '(' .. ms(now), '+inf') >= tonumber(ARGV[3]) then
  return -1
end
redis.call('ZADD', KEYS[1], ms(now + ARGV[2]), ARGV[1])
local longest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], ms(longest[2] + keep))
return now
