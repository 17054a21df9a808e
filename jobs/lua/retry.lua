-- Puts a job aside until its next attempt. A key stays blocked meanwhile.
-- KEYS[1] T:d  KEYS[2] T:j ; it also touches the streams and T:k:<key>, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] ref  ARGV[4] key  ARGV[5] delay ms  ARGV[6] envelope  ARGV[7] job id
-- Returns 1, or 0 when another consumer has taken the job meanwhile; then nothing changes.
-- Atomic; repeating it is harmless.
local tag, ref, key = ARGV[2], ARGV[3], ARGV[4]
if not owns(tag, ref, ARGV[1]) then return 0 end
local member = '!' .. ARGV[7]
if redis.call('HEXISTS', KEYS[2], member) == 1 then member = member .. ' ' .. ref end -- two jobs of one id
later(tag, member, now() + tonumber(ARGV[5]), key, ARGV[6])
if key ~= '' then
  local mailbox = tag .. ':k:' .. key
  if redis.call('LINDEX', mailbox, 0) == ref then redis.call('LSET', mailbox, 0, member) end
end
remove(tag, ref)
return 1
