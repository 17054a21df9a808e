-- Gives names of one shard up.
-- KEYS[1] {n}  KEYS[2] {n}:of:<incarnation>
-- ARGV[1] incarnation  then names
-- Returns 1.
-- Atomic; repeating it is harmless.
for i = 2, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
  redis.call('SREM', KEYS[2], ARGV[i])
end
return 1
