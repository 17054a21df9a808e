-- Shared by the scripts that store a batch of a lane. A lane has one batch on the wire and numbers its
-- batches upwards, so the last number, kept with what became of that batch, is enough to tell a batch
-- that was executed but whose reply was lost, and to answer it again.
--
-- KEYS[1] the stream   KEYS[2] <tag>:pr:<producer>
-- ARGV[1] batch number ARGV[2] ms to remember it  ARGV[3] limit  ARGV[4] the hash tag
-- then per job six: id, key, once, ms to remember once, ms to wait or "", envelope
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

-- marked reports the job stored first under an idempotency key, or marks the key with this one.
local function marked(i)
  if ARGV[i + 2] == '' then return nil end
  local mark = ARGV[4] .. ':u:' .. ARGV[i + 2]
  local first = redis.call('GET', mark)
  if not first then redis.call('SET', mark, ARGV[i], 'PX', ARGV[i + 3]) end
  return first
end

local function full(i) return 'F' .. ((i - 5) / 6) .. ';' end
local function duplicate(i, id) return 'D' .. ((i - 5) / 6) .. ':' .. #id .. ':' .. id end

-- executed remembers the batch and gives its answer.
local function executed(exceptions)
  local answer = table.concat(exceptions)
  redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. answer, 'PX', ARGV[2])
  return answer
end
