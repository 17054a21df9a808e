-- Ends a turn of a key's owner: its states, the jobs it took from behind its own one, and new jobs of the same
-- partition, together or not at all. The owner's job goes on.
-- KEYS[1] T:meta ; it also touches the streams, T:k:<key>, T:d, T:j, T:st:<name>, T:r:<id> and T:b:<batch>.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] ref  ARGV[4] key  ARGV[5] mark  ARGV[6] its version from now on
-- ARGV[7] ms to remember the mark  ARGV[8] how each job that was taken ended, a letter for each: d done,
-- c cancelled, e expired  ARGV[9] number of states  then per state four: name, version it was read at, 1 when
-- it changes, data or "" for none
-- then per new job four: id, key, ms to wait or "", envelope
-- Returns 1; 0 when another consumer has the job; -1 when a state has changed since it was read. Unless it
-- returns 1 nothing changes.
-- Atomic; repeating it is harmless. That a turn has ended shows that the job kills nobody: its deliveries are
-- counted from one again.
local tag, ref, mark, version = ARGV[2], ARGV[3], ARGV[2] .. ':st:' .. ARGV[5], ARGV[6]
local stream, id = at(tag, ref)
local p = redis.call('XPENDING', stream, 'g', id, id, 1)
if #p ~= 1 or p[1][2] ~= ARGV[1] then return 0 end
if redis.call('HGET', mark, 'v') == version then return 1 end
local after = 10 + 4 * tonumber(ARGV[9])
if not store(tag, 10, after - 1, version) then return -1 end
local n, mailbox = #ARGV[8], tag .. ':k:' .. ARGV[4]
if n > 0 then
  local hows = {d = 'done', c = 'cancelled', e = 'expired'}
  for i, envelope in ipairs(redis.call('LRANGE', mailbox, 1, n)) do
    over(tag, envelope, hows[string.sub(ARGV[8], i, i)], '')
  end
  redis.call('LTRIM', mailbox, n, -1)
  redis.call('LSET', mailbox, 0, ref)
  redis.call('HINCRBY', KEYS[1], 'blocked', -n)
end
follow(tag, after)
redis.call('HSET', mark, 'v', version)
redis.call('PEXPIRE', mark, ARGV[7])
if p[1][4] > 1 then redis.call('XCLAIM', stream, 'g', ARGV[1], 0, id, 'RETRYCOUNT', 1, 'JUSTID') end
return 1
