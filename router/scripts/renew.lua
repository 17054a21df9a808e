-- renew gives a history a new epoch when it holds less than somebody has already seen of it: Redis came
-- back without its last entries, and the numbers of the lost ones must not be given out twice. Where head
-- does not notice that by itself (the embedded server), some may have been, so no number is vouched for.
-- KEYS 1 :h
-- ARGV 1 the epoch that was seen, 2 the seq that was seen, 3 the new epoch
-- returns 1 when the epoch was changed
local at = redis.call('HMGET', KEYS[1], 'seq', 'epoch')
if at[2] ~= ARGV[1] or tonumber(at[1] or '0') >= tonumber(ARGV[2]) then return 0 end
local _, epoch = head(KEYS[1], nil, ARGV[3])
if epoch ~= ARGV[3] then redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'was', '') end
return 1
