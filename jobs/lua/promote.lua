-- Makes jobs ready whose time has come.
-- KEYS[1] T:d  KEYS[2] T:j  KEYS[3] T:meta ; it also touches the streams and T:k:<key>, of the same tag.
-- ARGV[1] T  ARGV[2] how many at most
-- Returns {ms until the next one is due, -1 when there is none; revision of the queue's settings}.
-- Atomic.
local tag, time = ARGV[1], now()
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time, 'LIMIT', 0, ARGV[2])) do
  if not back(tag, member) then forget(tag, member) end
end
local next, wait = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES'), -1
if #next > 0 then wait = math.max(0, math.ceil(tonumber(next[2]) - time)) end
return {wait, tonumber(redis.call('HGET', KEYS[3], 'revision') or 0)}
