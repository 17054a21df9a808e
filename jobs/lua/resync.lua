-- Lists what a consumer holds of one priority according to Redis: after a lost reply that can be more than
-- it knows of. Reading the group's history would do too, but counts as a delivery of each job.
-- KEYS[1] T:s<level>
-- ARGV[1] consumer  ARGV[2] level  ARGV[3] first entry id  ARGV[4] how many at most
-- Returns {last id looked at or "", {ref, envelope, key}, ...}.
-- Atomic.
local answer = {''}
for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', ARGV[3], '+', ARGV[4], ARGV[1])) do
  answer[1] = p[1]
  local entry = redis.call('XRANGE', KEYS[1], p[1], p[1])[1]
  if entry then
    local envelope, key = fields(entry[2])
    answer[#answer + 1] = {ARGV[2] .. ':' .. p[1], envelope, key}
  else
    redis.call('XACK', KEYS[1], 'g', p[1])
  end
end
return answer
