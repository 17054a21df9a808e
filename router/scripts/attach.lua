-- attach makes an incarnation a holder of a history and says where the history stands at that moment.
-- KEYS 1 :h, 2 :l, 3 :at, 4 :mem
-- ARGV 1 incarnation, 2 lease in ms, 3 generation of the entry, 4 the epoch if a life begins now,
--      5 milliseconds to keep entries, 6 a user who must be a member ("" is not checked)
-- returns {1, seq, epoch, oldest, first join of the user}, or {0} when he is not a member
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local floor = 0
if ARGV[6] ~= '' then
  local joined = redis.call('HGET', KEYS[4], ARGV[6])
  if not joined then return {0} end
  floor = tonumber(joined)
end

local seq, epoch = head(KEYS[1], KEYS[2], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])) .. ' ' .. ARGV[3])

trim(KEYS[2], now - tonumber(ARGV[5]))
local oldest = seq + 1
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
if first[1] then oldest = tonumber(string.match(first[1][1], '^%d+')) end
return {1, seq, epoch, oldest, floor}
