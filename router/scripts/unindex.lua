-- unindex drops a room from the index of a user's rooms, if the entry is still the one that was read: a
-- join that came in between has written another.
-- KEYS 1 :rooms
-- ARGV 1 room, 2 the entry that was read
-- returns 1 when it was dropped
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
