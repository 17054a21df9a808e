-- Applies a queue's limits to jobs that were just read. What a rate does not admit now gets its turn: it is
-- put aside until then, once. What exceeds a concurrency waits until a job of that kind ends.
-- KEYS[1] T:meta ; it also touches T:f, T:fc, T:g:<scope>, T:w:<scope>, T:d, T:j, the streams and T:k:<key>.
-- ARGV[1] consumer  ARGV[2] T  then per job six: ref, key, kind, job id, 1 when a rate has admitted it, the scope
-- in which it found no permit or ""
-- Returns {ms until the queue's own rate admits the next job, the refs that were put aside ...}.
-- Atomic.
local tag, answer = ARGV[2], {0}
local limits = redis.call('HGET', KEYS[1], 'limits')
if not limits then return answer end
limits = cjson.decode(limits)
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]

-- turn reserves the next place of a scope, by GCRA, and gives the microseconds until then.
local function turn(scope, limit)
  if not limit or not limit.rate or limit.rate <= 0 then return 0 end
  local every = 1000000 / limit.rate
  local at = math.max(micros, tonumber(redis.call('GET', tag .. ':g:' .. scope) or 0))
  local wait = math.max(0, at - (math.max(1, limit.burst or 1) - 1) * every - micros)
  redis.call('SET', tag .. ':g:' .. scope, string.format('%.0f', at + every), 'PX', math.ceil((at + every - micros) / 1000) + 1000)
  return wait
end

local function crowded(scope, limit)
  return limit and limit.concurrency and limit.concurrency > 0 and
    tonumber(redis.call('HGET', tag .. ':fc', scope) or 0) >= limit.concurrency
end

local function defer(i, mark, due)
  local ref, key = ARGV[i], ARGV[i + 1]
  local stream, id = at(tag, ref)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  local member = mark .. ARGV[i + 3]
  if redis.call('HEXISTS', tag .. ':j', member) == 1 then member = member .. ' ' .. ref end -- two jobs of one id
  if entry then
    later(tag, member, due, key, (fields(entry[2])))
    local mailbox = tag .. ':k:' .. key
    if key ~= '' and redis.call('LINDEX', mailbox, 0) == ref then redis.call('LSET', mailbox, 0, member) end
  end
  remove(tag, ref)
  answer[#answer + 1] = ref
  return member
end

local kinds = limits.kinds or {}
for i = 3, #ARGV, 6 do
  local ref, key, kind = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if owns(tag, ref, ARGV[1]) then
    local wait = 0
    if ARGV[i + 4] ~= '1' then
      local queue = turn('*', limits.queue)
      answer[1] = math.ceil(queue / 1000)
      wait = math.max(queue, turn('kind ' .. kind, kinds[kind]))
      if key ~= '' then wait = math.max(wait, turn('key ' .. key, limits.key)) end
    end
    local full = limits.global and ARGV[i + 5] or crowded('*', limits.queue) and '*' or crowded(kind, kinds[kind]) and kind
    if wait > 0 then
      defer(i, '~', math.ceil((micros + wait) / 1000))
    elseif full and full ~= '' then
      redis.call('RPUSH', tag .. ':w:' .. full, defer(i, '=', math.ceil(micros / 1000) + (limits.global and 2000 or 10000)))
    elseif not limits.global and redis.call('HSETNX', tag .. ':f', ref, kind) == 1 then
      redis.call('HINCRBY', tag .. ':fc', '*', 1)
      redis.call('HINCRBY', tag .. ':fc', kind, 1)
    end
  end
end
return answer
