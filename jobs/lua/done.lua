-- Ends jobs without a key that are done, of one stream, the cheap way: no other function, no loop.
-- KEYS[1] T:s<level>  KEYS[2] T:f
-- ARGV entry ids
-- Returns 1; 0 when the queue counts what runs: then nothing changes, and ack.lua is to be used.
-- Atomic; repeating it is harmless.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('XACK', KEYS[1], 'g', unpack(ARGV))
redis.call('XDEL', KEYS[1], unpack(ARGV))
return 1
