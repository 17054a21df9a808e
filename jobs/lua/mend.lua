-- Lets the next jobs of keys go on whose active job is gone, which takes a deletion by hand or the loss of
-- a part of the data.
-- KEYS[1] T:meta ; it also touches the streams, T:j and T:k:<key>, of the same tag.
-- ARGV[1] T  then keys of jobs
-- Returns how many were mended.
-- Atomic.
local tag, n = ARGV[1], 0
for i = 2, #ARGV do
  local head, there = redis.call('LINDEX', tag .. ':k:' .. ARGV[i], 0), true
  if head then
    if string.find(head, '^[0-3]:%d+-%d+$') then
      local stream, id = at(tag, head)
      there = #redis.call('XRANGE', stream, id, id) == 1
    else
      there = redis.call('HEXISTS', tag .. ':j', head) == 1
    end
  end
  if not there then
    release(tag, head, ARGV[i])
    n = n + 1
  end
end
return n
