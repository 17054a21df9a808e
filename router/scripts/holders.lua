-- holders lists the incarnations that have connections interested in a history.
-- KEYS 1 :at
-- returns {incarnation…}
local time = redis.call('TIME')
return holders(KEYS[1], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
