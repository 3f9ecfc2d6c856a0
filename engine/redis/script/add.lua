-- Stores an entry whose ID has not been stored in the last while.
-- KEYS stream, id   ARGV window in ms, max length or 0, fields...
if not redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[1]) then
  return false
end
if ARGV[2] == '0' then
  return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
end
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
