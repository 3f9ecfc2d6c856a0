-- Says that the consumer is there, and returns how many are, and its place among them.
-- KEYS members   ARGV consumer, lease in ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local all = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(all)
for i, name in ipairs(all) do
  if name == ARGV[1] then return {#all, i - 1} end
end
