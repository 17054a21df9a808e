-- Lists what a consumer holds according to Redis: after a lost reply that can be more than it knows of.
-- Reading the group's history would do too, but counts as a delivery of each job.
-- KEYS[1] T:s0
-- ARGV[1] consumer  ARGV[2] first entry id  ARGV[3] how many at most
-- Returns {last id looked at or "", {entry id, envelope, key}, ...}.
-- Atomic.
local answer = {''}
for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', ARGV[2], '+', ARGV[3], ARGV[1])) do
  answer[1] = p[1]
  local entry = redis.call('XRANGE', KEYS[1], p[1], p[1])[1]
  if entry then
    local envelope, key = '', ''
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'e' then envelope = entry[2][i + 1] elseif entry[2][i] == 'k' then key = entry[2][i + 1] end
    end
    answer[#answer + 1] = {p[1], envelope, key}
  else
    redis.call('XACK', KEYS[1], 'g', p[1])
  end
end
return answer
