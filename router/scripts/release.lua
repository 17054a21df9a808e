-- release ends an incarnation's hold on a history, unless it has been renewed under a later generation:
-- a release that was delayed in the network never undoes a newer attach.
-- KEYS 1 :at
-- ARGV 1 incarnation, 2 generation
-- returns 1 when the entry was removed
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and tonumber(string.match(entry, ' (%d+)$')) <= tonumber(ARGV[2]) then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
