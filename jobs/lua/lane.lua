-- Shared by the scripts that store a batch of a lane. A lane has one batch on the wire and numbers its
-- batches upwards, so the last number, kept with what became of that batch, is enough to tell a batch
-- that was executed but whose reply was lost, and to answer it again.
--
-- KEYS[1] the stream   KEYS[2] <tag>:pr:<producer>
-- ARGV[1] batch number ARGV[2] ms to remember it  ARGV[3] limit  ARGV[4] the hash tag
-- then per job two: what is special about it, and its envelope. Special is "" for nothing, k<key>, or x and five
-- texts, each its length, a colon and itself: id, key, once, ms to remember once, ms to wait or ""; two
-- arguments and not six, because each costs as much as a command inside the script
-- Returns the exceptions: "" when every job was stored, else for each one that was not
--   F<index>;                  refused, the queue is full
--   D<index>:<length>:<id>     duplicate of the job id
-- Atomic; a batch executed before changes nothing.

-- repeated gives the answer of a batch that was executed before.
local function repeated()
  local last = redis.call('GET', KEYS[2])
  if not last then return nil end
  local sep = string.find(last, ' ', 1, true)
  local number = tonumber(string.sub(last, 1, sep - 1))
  if number < tonumber(ARGV[1]) then return nil end
  if number == tonumber(ARGV[1]) then return string.sub(last, sep + 1) end
  return redis.error_reply('STALE a later batch of this lane was stored')
end

-- special takes what is special about a job apart: id, key, once, ms to remember once, ms to wait.
local function special(s)
  if s == '' then return '', '', '', '', '' end
  if string.byte(s) == 107 then return '', string.sub(s, 2), '', '', '' end -- k
  local texts, from = {}, 2
  for n = 1, 5 do
    local sep = string.find(s, ':', from, true)
    local size = tonumber(string.sub(s, from, sep - 1))
    texts[n] = string.sub(s, sep + 1, sep + size)
    from = sep + size + 1
  end
  return unpack(texts)
end

-- marked reports the job stored first under an idempotency key, or marks the key with this one.
local function marked(id, once, ms)
  if once == '' then return nil end
  local mark = ARGV[4] .. ':u:' .. once
  local first = redis.call('GET', mark)
  if not first then redis.call('SET', mark, id, 'PX', ms) end
  return first
end

local function full(i) return 'F' .. ((i - 5) / 2) .. ';' end
local function duplicate(i, id) return 'D' .. ((i - 5) / 2) .. ':' .. #id .. ':' .. id end

-- executed remembers the batch and gives its answer.
local function executed(exceptions)
  local answer = table.concat(exceptions)
  redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. answer, 'PX', ARGV[2])
  return answer
end
