-- Claims names of one shard for an incarnation, and prolongs all that it has there.
-- KEYS[1] {n}: hash, name -> incarnation  KEYS[2] {n}:l: zset, incarnation -> when its claims run out, ms
-- It also touches {n}:of:<incarnation>, the set of an incarnation's names, of the same tag.
-- ARGV[1] incarnation  ARGV[2] ms that claims hold  ARGV[3] the tag  then names, or none
-- Returns {1 when its claims held until now, else 0, index of each name that another living one has, ...}.
-- Atomic; repeating it is harmless. It also forgets some names of incarnations whose claims have run out.
local me, tag = ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - 2 * ARGV[2], 'LIMIT', 0, 2)) do
  local of = tag .. ':of:' .. gone
  for _, name in ipairs(redis.call('SPOP', of, 200)) do
    if redis.call('HGET', KEYS[1], name) == gone then redis.call('HDEL', KEYS[1], name) end
  end
  if gone ~= me and redis.call('SCARD', of) == 0 then redis.call('ZREM', KEYS[2], gone) end
end
local answer = {tonumber(redis.call('ZSCORE', KEYS[2], me) or 0) > now and 1 or 0}
redis.call('ZADD', KEYS[2], now + ARGV[2], me)
for i = 4, #ARGV do
  local holder = redis.call('HGET', KEYS[1], ARGV[i])
  if holder and holder ~= me and tonumber(redis.call('ZSCORE', KEYS[2], holder) or 0) > now then
    answer[#answer + 1] = i - 3
  else
    redis.call('HSET', KEYS[1], ARGV[i], me)
    redis.call('SADD', tag .. ':of:' .. me, ARGV[i])
  end
end
return answer
