-- Mends what a partition has put aside: jobs without a time get one, and what a limit counts but is gone is
-- counted out.
-- KEYS[1] T:j  KEYS[2] T:d  KEYS[3] T:f ; it also touches the streams, T:fc and T:w:<scope>, of the same tag.
-- ARGV[1] T
-- Returns how many were mended, of at most a thousand looked at in each.
-- Atomic.
local tag, n = ARGV[1], 0
local jobs = redis.call('HSCAN', KEYS[1], 0, 'COUNT', 1000)[2]
for i = 1, #jobs, 2 do
  if not redis.call('ZSCORE', KEYS[2], jobs[i]) then
    redis.call('ZADD', KEYS[2], now(), jobs[i])
    n = n + 1
  end
end
local counted = redis.call('HSCAN', KEYS[3], 0, 'COUNT', 1000)[2]
for i = 1, #counted, 2 do
  local stream, id = at(tag, counted[i])
  if #redis.call('XRANGE', stream, id, id) == 0 then
    freed(tag, counted[i])
    n = n + 1
  end
end
return n
