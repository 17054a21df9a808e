-- Tells how a queue is to be worked on.
-- KEYS[1] T:meta  KEYS[2] T:x
-- ARGV[1] how many marks at most
-- Returns {revision, 1 when it is paused, its limits or "", the newest ids that are marked as cancelled ...}.
-- Atomic.
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
local answer = {redis.call('HGET', KEYS[1], 'revision') or '0', redis.call('HGET', KEYS[1], 'paused') or '0',
  redis.call('HGET', KEYS[1], 'limits') or ''}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1)) do answer[#answer + 1] = id end
return answer
