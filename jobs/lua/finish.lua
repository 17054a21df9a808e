-- Ends a job together with what its handler wants stored: states, new jobs of the same partition, a result.
-- KEYS[1] T:meta ; it also touches the streams, T:k:<key>, T:d, T:j, T:st:<name>, T:r:<id> and T:b:<batch>.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] ref  ARGV[4] key  ARGV[5] envelope  ARGV[6] how it ended
-- ARGV[7] result  ARGV[8] number of states  then per state four: name, version it was read at, 1 when it
-- changes, data or "" for none
-- then per new job four: id, key, ms to wait or "", envelope
-- Returns 1; 0 when another consumer has taken the job meanwhile; -1 when a state has changed since it was
-- read. Unless it returns 1 nothing changes.
-- Atomic; repeating it is harmless.
local tag, ref = ARGV[2], ARGV[3]
if not owns(tag, ref, ARGV[1]) then return 0 end
local after = 9 + 4 * tonumber(ARGV[8])
if not store(tag, 9, after - 1, ref) then return -1 end
follow(tag, after)
over(tag, ARGV[5], ARGV[6], ARGV[7])
release(tag, ref, ARGV[4])
remove(tag, ref)
return 1
