-- publish appends posts to one history, each exactly once, and says which agents must be told.
-- KEYS 1 :h, 2 :l, 3 :at, 4 :mem, then one :o:<mark> for each post
-- ARGV 1 entries to keep (0: none), 2 milliseconds to keep them, 3 the epoch if a life begins now,
--      4 "1" to check membership of authors, 5 life in ms of a mark that a client named, 6 of any other,
--      7 a character for each post: "1" when a client named its mark; then for each post its body and, when
--      4 is "1", its author ("" is not checked)
-- returns {holders}, the epoch, then for each post the seq when it is stored now, or {status, seq, epoch,
--      body}; status 1 stored before (body is what was stored, "" if it is no longer kept), 2 the author is
--      not a member (nothing was written)
-- A mark, its sequence number and its entry are written together or not at all.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local keep, keepfor = tonumber(ARGV[1]), tonumber(ARGV[2])

local seq, epoch, was = head(KEYS[1], KEYS[2], ARGV[3])

-- survived says whether number first of an earlier life is the same message in this one.
local function survived(first, life)
  local known = false
  for old, upto in string.gmatch(was, '(%S+) (%d+) ') do
    known = known or old == life
    if known and first > tonumber(upto) then return false end
  end
  return known
end

local function before(mark)
  local at = redis.call('GET', mark)
  if not at then return nil end
  local first, life = string.match(at, '^(%d+) (.*)$')
  local body = ''
  if life ~= epoch and survived(tonumber(first), life) then life = epoch end
  if life == epoch then
    local kept = redis.call('XRANGE', KEYS[2], first .. '-0', first .. '-0')
    if kept[1] then body = kept[1][2][4] end
  end
  return {1, tonumber(first), life, body}
end

-- Most of this script's time goes into arguments and answers, so there is one of each for a post.
local call, format, byte = redis.call, string.format, string.byte
local stride = ARGV[4] == '1' and 2 or 1
local written, life = format('%.0f', now), ' ' .. epoch
local named = byte('1')
local reply, stored = {{}, epoch}, 0
for i = 5, #KEYS do
  local arg = 8 + (i - 5) * stride
  local author = stride == 2 and ARGV[arg + 1] or ''
  local answer
  if author ~= '' and redis.call('HEXISTS', KEYS[4], author) == 0 then
    answer = before(KEYS[i]) or {2, 0, '', ''}
  else
    local id = format('%.0f', seq + 1)
    local kept = byte(ARGV[7], i - 4) == named and ARGV[5] or ARGV[6]
    if call('SET', KEYS[i], id .. life, 'NX', 'PX', kept) then
      seq, stored = seq + 1, stored + 1
      if keep > 0 then
        call('XADD', KEYS[2], id .. '-0', 't', written, 'b', ARGV[arg])
      end
      answer = seq
    else
      answer = before(KEYS[i])
    end
  end
  reply[#reply + 1] = answer
end

if stored > 0 then
  redis.call('HSET', KEYS[1], 'seq', string.format('%.0f', seq))
  if keep > 0 then
    redis.call('XTRIM', KEYS[2], 'MAXLEN', keep)
    trim(KEYS[2], now - keepfor)
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
  end
end
reply[1] = holders(KEYS[3], now)
return reply
