-- Tells the owner of a key what waits behind its job, and where its turns stand.
-- KEYS[1] T:meta ; it also looks at the streams, T:k:<key> and T:st:<mark>, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] ref  ARGV[4] key  ARGV[5] mark  ARGV[6] how many jobs at most
-- Returns {version of the mark or "", envelope, ...}, or nothing when another consumer has the job.
-- Atomic; it changes nothing.
local tag = ARGV[2]
if not owns(tag, ARGV[3], ARGV[1]) then return {} end
local answer = redis.call('LRANGE', tag .. ':k:' .. ARGV[4], 1, ARGV[6])
table.insert(answer, 1, redis.call('HGET', tag .. ':st:' .. ARGV[5], 'v') or '')
return answer
