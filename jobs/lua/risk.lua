-- Counts a delivery of a suspect that begins now.
-- KEYS[1] T:meta ; it touches the streams, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] ref
-- Returns 1, or 0 when another consumer has the job; then nothing changes.
-- Atomic.
local stream, id = at(ARGV[2], ARGV[3])
local p = redis.call('XPENDING', stream, 'g', id, id, 1)
if #p ~= 1 or p[1][2] ~= ARGV[1] then return 0 end
redis.call('XCLAIM', stream, 'g', ARGV[1], 0, id, 'RETRYCOUNT', p[1][4] + 1, 'JUSTID')
return 1
