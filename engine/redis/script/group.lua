-- Makes a group that is not there. How many entries it has behind it is said, too,
-- since the server cannot find that out by itself and would not know the group's lag.
-- KEYS stream   ARGV group, 'now' or 'oldest'
redis.call('XGROUP', 'CREATE', KEYS[1], '(troupe)', '0', 'MKSTREAM')
redis.call('XGROUP', 'DESTROY', KEYS[1], '(troupe)')
local info = redis.call('XINFO', 'STREAM', KEYS[1])
local stream = {}
for i = 1, #info, 2 do stream[info[i]] = info[i + 1] end
local id, read = stream['last-generated-id'], stream['entries-added']
if ARGV[2] == 'oldest' then
  id, read = '0-0', stream['entries-added'] - stream['length']
end
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], id, 'ENTRIESREAD', read)
if made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
  return made
end
return 1
