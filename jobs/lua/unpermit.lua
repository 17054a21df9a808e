-- Gives permits back.
-- KEYS[1] T:p:* of partition 0 ; it also touches T:p:<type>, of the same tag.
-- ARGV[1] T  then per job two: <partition>/<ref>, its type
-- Returns 1.
-- Atomic; repeating it is harmless.
for i = 2, #ARGV, 2 do
  redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('ZREM', ARGV[1] .. ':p:kind ' .. ARGV[i + 1], ARGV[i])
end
return 1
