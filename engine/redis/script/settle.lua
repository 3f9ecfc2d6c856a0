-- Acknowledges entries, or gives them back, if they are still with the consumer and at
-- the same attempt. What is given back goes to the consumer (returned), where the
-- pending entries list keeps it, and into a sorted set by when it is due.
-- Returns the ids of those that are not.
-- KEYS stream, returned, marks, owner
-- ARGV group, consumer, lease of the shard in ms or 0, then for each: id, padded id,
--      attempt, delay in ms or -1 to acknowledge
local group, me, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local late = {}
if lease > 0 and redis.call('HGET', KEYS[4], 'consumer') == me then
  redis.call('HSET', KEYS[4], 'until', now + lease)
end
for i = 4, #ARGV, 4 do
  local id, padded, attempt, delay = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local p = redis.call('XPENDING', KEYS[1], group, id, id, 1)[1]
  if not p or p[2] ~= me or p[4] ~= attempt then
    late[#late + 1] = id
  elseif delay < 0 then
    redis.call('XACK', KEYS[1], group, id)
    redis.call('HDEL', KEYS[3], id)
  else
    redis.call('XCLAIM', KEYS[1], group, '(returned)', 0, id, 'JUSTID')
    redis.call('ZADD', KEYS[2], now + delay, padded)
    redis.call('HDEL', KEYS[3], id)
  end
end
return late
