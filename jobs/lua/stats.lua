-- Counts what a partition of a queue holds, in constant time.
-- KEYS[1] T:meta ; it also looks at the streams, T:d and T:dead, of the same tag.
-- ARGV[1] T
-- Returns {waiting, active, blocked, aside, dead letters, 1 when paused, the limits or "", id of the oldest entry or "",
-- 1 when closed}.
-- Atomic.
local tag, length, active, oldest = ARGV[1], 0, 0, ''
for level = 0, 3 do
  local stream = tag .. ':s' .. level
  length = length + redis.call('XLEN', stream)
  local pending = redis.pcall('XPENDING', stream, 'g')
  if not pending.err then active = active + pending[1] end
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if first and (oldest == '' or tonumber((string.match(first[1], '^%d+'))) < tonumber((string.match(oldest, '^%d+')))) then
    oldest = first[1]
  end
end
return {length - active, active, tonumber(redis.call('HGET', KEYS[1], 'blocked') or 0), redis.call('ZCARD', tag .. ':d'),
  redis.call('XLEN', tag .. ':dead'), tonumber(redis.call('HGET', KEYS[1], 'paused') or 0), redis.call('HGET', KEYS[1], 'limits') or '', oldest,
  tonumber(redis.call('HGET', KEYS[1], 'closed') or 0)}
