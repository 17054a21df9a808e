-- Reads a session and the time that decides about it.
-- KEYS[1]  the session, HASH
-- Returns  {now (ms), user, roles, created, expires, revoked}; the texts are empty when there is none
-- Atomic: the time is the one at which the session was read.
local t = redis.call('TIME')
local reply = {t[1] * 1000 + math.floor(t[2] / 1000)}
for i, v in ipairs(redis.call('HMGET', KEYS[1], 'user', 'roles', 'created', 'expires', 'revoked')) do
  reply[i + 1] = v or ''
end
return reply
