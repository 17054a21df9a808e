-- Turns a session into a tombstone.
-- KEYS[1]  the session, HASH
-- ARGV     tombstone (ms), user: not empty means leave a tombstone of this user even where no session is,
--          because one is being made
-- Returns  {state, user, time (ms)}; state: none, pending (tombstone left for one being made), revoked (by this
--          call), again (revoked before), expired
-- Atomic: of two callers one is told revoked, the other again.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function ms(n) return string.format('%.0f', n) end
local s = redis.call('HMGET', KEYS[1], 'user', 'revoked')
if not s[1] then
  if ARGV[2] == '' then
    return {'none', '', ms(now)}
  end
  redis.call('HSET', KEYS[1], 'user', ARGV[2], 'roles', '', 'created', ms(now), 'expires', ms(now), 'revoked', ms(now))
  redis.call('PEXPIREAT', KEYS[1], ms(now + ARGV[1]))
  return {'pending', ARGV[2], ms(now)}
end
if s[2] then
  return {'again', s[1], ms(now)}
end
if redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[1]) then -- the key outlives the session by a tombstone's time
  return {'expired', s[1], ms(now)}
end
redis.call('HSET', KEYS[1], 'revoked', ms(now))
redis.call('PEXPIREAT', KEYS[1], ms(now + ARGV[1]))
return {'revoked', s[1], ms(now)}
