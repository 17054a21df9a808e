-- Gives dead letters another chance.
-- KEYS[1] T:dead ; it also touches the streams, T:k:<key> and T:meta, of the same tag.
-- ARGV[1] T  then per letter three: entry id, key, envelope as it is to be enqueued
-- Returns how many there were.
-- Atomic; repeating it is harmless.
local n = 0
for i = 2, #ARGV, 3 do
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    enter(ARGV[1], ARGV[i + 2], ARGV[i + 1])
    n = n + 1
  end
end
return n
