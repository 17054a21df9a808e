-- Makes jobs ready again that wait for a concurrency: a permit has become free.
-- KEYS[1] T:meta ; it also touches T:w:<scope>, T:d, T:j, the streams and T:k:<key>, of the same tag.
-- ARGV[1] T  ARGV[2] how many at most  ARGV[3] scope
-- Returns how many there were.
-- Atomic.
local n = 0
while n < tonumber(ARGV[2]) do
  local member = redis.call('LPOP', ARGV[1] .. ':w:' .. ARGV[3])
  if not member then break end
  if back(ARGV[1], member) then n = n + 1 end
end
return n
