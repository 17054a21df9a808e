-- join makes a user a member of a room. A second join changes nothing.
-- KEYS 1 :h, 2 :mem
-- ARGV 1 user, 2 the epoch if a life begins now
-- returns 1 when he was none before
local seq = head(KEYS[1], nil, ARGV[2])
return redis.call('HSETNX', KEYS[2], ARGV[1], string.format('%.0f', seq))
