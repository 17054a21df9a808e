-- Gives out permits where a concurrency is limited over several partitions; they are kept in the first one.
-- KEYS[1] T:p:* of partition 0 ; it also touches T:p:<type>, of the same tag.
-- ARGV[1] T  ARGV[2] ms a permit holds unless it is prolonged  ARGV[3] 1: whatever the limits say; the job runs
-- already  ARGV[4] limit of the queue or 0
-- then per job three: <partition>/<ref>, its type, limit of that type or 0
-- Returns for each job "" when it has what it needs, else the scope that is full, * or the type.
-- Atomic; repeating it is harmless, and prolongs the permits.
local tag, time, answer = ARGV[1], redis.call('TIME'), {}
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function key(scope) return tag .. ':p:' .. scope end
local function full(scope, limit, member)
  if limit <= 0 or ARGV[3] == '1' or redis.call('ZSCORE', key(scope), member) then return false end
  redis.call('ZREMRANGEBYSCORE', key(scope), '-inf', now)
  return redis.call('ZCARD', key(scope)) >= limit
end
for i = 5, #ARGV, 3 do
  local member, kind, most = ARGV[i], 'kind ' .. ARGV[i + 1], tonumber(ARGV[i + 2])
  local all = tonumber(ARGV[4])
  if full('*', all, member) then
    answer[#answer + 1] = '*'
  elseif full(kind, most, member) then
    answer[#answer + 1] = ARGV[i + 1]
  else
    for scope, limit in pairs({['*'] = all, [kind] = most}) do
      if limit > 0 then
        redis.call('ZADD', key(scope), now + ARGV[2], member)
        redis.call('PEXPIRE', key(scope), 10 * ARGV[2])
      end
    end
    answer[#answer + 1] = ''
  end
end
return answer
