-- Puts a failed job aside until its next attempt. A key stays blocked meanwhile.
-- KEYS[1] T:s0  KEYS[2] T:d  KEYS[3] T:j ; it also touches T:k:<key>, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] entry id  ARGV[4] key  ARGV[5] delay ms  ARGV[6] envelope
-- Returns 1, or 0 when another consumer has taken the job meanwhile; then nothing changes.
-- Atomic; repeating it is harmless.
if not owns(KEYS[1], ARGV[3], ARGV[1]) then return 0 end
local id, key = ARGV[3], ARGV[4]
local member = '!' .. id
local now = redis.call('TIME')
redis.call('HSET', KEYS[3], member, #key .. ':' .. key .. ARGV[6])
redis.call('ZADD', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[5], member)
if key ~= '' then
  local mailbox = ARGV[2] .. ':k:' .. key
  if redis.call('LINDEX', mailbox, 0) == id then redis.call('LSET', mailbox, 0, member) end
end
redis.call('XACK', KEYS[1], 'g', id)
redis.call('XDEL', KEYS[1], id)
return 1
