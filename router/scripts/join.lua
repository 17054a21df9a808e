-- join makes a user a member of a room. A second join changes nothing.
-- KEYS 1 :h, 2 :mem
-- ARGV 1 user, 2 the epoch if the history begins now
-- returns 1 when he was none before
local head = redis.call('HMGET', KEYS[1], 'seq', 'epoch')
if not head[2] then
  redis.call('HSET', KEYS[1], 'seq', '0', 'epoch', ARGV[2])
  head[1] = '0'
end
return redis.call('HSETNX', KEYS[2], ARGV[1], head[1])
