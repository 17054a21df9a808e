-- refresh renews an incarnation's lease on a history and says where the history stands.
-- KEYS 1 :h, 2 :at
-- ARGV 1 incarnation, 2 lease in ms, 3 generation of the entry
-- returns {seq, epoch}; epoch "" when there is no history
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])) .. ' ' .. ARGV[3])
local head = redis.call('HMGET', KEYS[1], 'seq', 'epoch')
return {tonumber(head[1] or '0'), head[2] or ''}
