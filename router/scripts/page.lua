-- page reads a piece of a history together with where the history stands, at one moment.
-- KEYS 1 :h, 2 :l
-- ARGV 1 first seq, 2 last seq ("+" for no end), 3 how many entries at most
-- returns {seq, epoch, oldest, was, seq1, body1, seq2, body2, …}; epoch "" when there is no history;
--      was as in head.lua
local head = redis.call('HMGET', KEYS[1], 'seq', 'epoch', 'was')
local seq = tonumber(head[1] or '0')
local oldest = seq + 1
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
if first[1] then oldest = tonumber(string.match(first[1][1], '^%d+')) end
local reply = {seq, head[2] or '', oldest, head[3] or ''}
local last = ARGV[2]
if last ~= '+' then last = last .. '-0' end
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', last, 'COUNT', ARGV[3])) do
  reply[#reply + 1] = tonumber(string.match(entry[1], '^%d+'))
  reply[#reply + 1] = entry[2][4]
end
return reply
