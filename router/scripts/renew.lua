-- renew gives a history a new epoch when it holds less than somebody has already seen of it: Redis came
-- back without its last entries, and the numbers of the lost ones must not be given out twice.
-- KEYS 1 :h
-- ARGV 1 the epoch that was seen, 2 the seq that was seen, 3 the new epoch
-- returns 1 when the epoch was changed
local head = redis.call('HMGET', KEYS[1], 'seq', 'epoch')
if head[2] == ARGV[1] and tonumber(head[1] or '0') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[3])
  return 1
end
return 0
