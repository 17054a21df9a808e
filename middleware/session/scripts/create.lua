-- Makes a session, unless its key is taken: then it was revoked while it was being made.
-- KEYS[1]  the session, HASH
-- ARGV     user, roles (one a line), time to live (ms), tombstone (ms: how long it stays after its end)
-- Returns  {created (ms), expires (ms)}, or an empty list
-- Atomic: a tombstone is never overwritten.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function ms(n) return string.format('%.0f', n) end
local expires = now + ARGV[3]
redis.call('HSET', KEYS[1], 'user', ARGV[1], 'roles', ARGV[2], 'created', ms(now), 'expires', ms(expires))
redis.call('PEXPIREAT', KEYS[1], ms(expires + ARGV[4]))
return {now, expires}
