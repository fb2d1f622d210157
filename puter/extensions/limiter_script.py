"""What happens in Redis, as one step: who calls now, who has ended, who waits, and who may go."""

from __future__ import annotations

SCRIPT = """
-- running: id -> when its lease ends       waiting: id -> its ticket, the time at which it came
-- ended: id -> when it leaves the window   alive: id -> until when it must have asked again
-- state: `progress`, when anybody last was at work; `held`, until when nobody may go
-- All times are milliseconds of this server's clock.
local running, ended, waiting, alive, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ask = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The server may have counted a call as late as at its end: so long it is in the window.
local function finish(id, period)
  if redis.call('ZREM', running, id) == 1 then
    redis.call('ZADD', ended, now + period, id)
  end
end

local function leave(id)
  redis.call('ZREM', waiting, id)
  redis.call('ZREM', alive, id)
end

for _, one in ipairs(ask.done) do
  finish(one[1], one[2])
  leave(one[1])
end
for _, id in ipairs(ask.held) do -- they run, whatever became of their leases
  redis.call('ZADD', running, now + ask.lease, id)
  redis.call('ZREM', ended, id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', now)) do
  finish(id, ask.period)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', now)) do
  leave(id)
end
redis.call('ZREMRANGEBYSCORE', ended, '-inf', now)
if ask.busy or #ask.done > 0 then
  redis.call('HSET', state, 'progress', now)
end
local held = tonumber(redis.call('HGET', state, 'held') or 0)
if now + ask.hold > held then
  held = now + ask.hold
  redis.call('HSET', state, 'held', held)
end

local busy, past = redis.call('ZCARD', running), redis.call('ZCARD', ended)
local delay, answers = ask.longest, {}
for _, one in ipairs(ask.wait) do
  local id, ticket, age, most, rate = one[1], one[2], one[3], one[4], one[5]
  if redis.call('ZSCORE', running, id) then
    answers[#answers + 1] = -now -- admitted before, and the answer was lost
  else
    if ticket == 0 then
      ticket = tonumber(redis.call('ZSCORE', waiting, id) or now)
    end
    redis.call('ZADD', waiting, ticket, id)
    local place = redis.call('ZRANK', waiting, id) + 1 -- so many must be able to go
    local slots, room = most - busy - place, rate - busy - past - place
    if held <= now and slots >= 0 and room >= 0 then
      leave(id)
      redis.call('ZADD', running, now + ask.lease, id)
      redis.call('HSET', state, 'progress', now)
      busy = busy + 1
      answers[#answers + 1] = -ticket
    else
      local progress = tonumber(redis.call('HGET', state, 'progress') or 0)
      if busy >= most and math.min(age, now - progress) > ask.patience then
        leave(id)
        answers[#answers + 1] = 0
      else
        local pause = math.max(held - now, slots < 0 and ask.poll * place or 0)
        if room < 0 then -- so many must leave the window first
          local last = redis.call('ZRANGE', ended, -room - 1, -room - 1, 'WITHSCORES')[2]
          pause = math.max(pause, last and last - now or ask.longest)
        end
        delay = math.min(delay, math.max(1, pause))
        redis.call('ZADD', alive, now + ask.silence, id)
        answers[#answers + 1] = ticket
      end
    end
  end
end

local expires = math.max(ask.lease + ask.period, held - now) + 60000
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, expires)
end
return {math.ceil(delay), answers}
"""
"""Takes five keys, and what a process has to say and to ask as JSON:

- ``done``: ``[id, period]`` of calls that ended, or wait no longer;
- ``held``: ids whose leases are to be renewed; ``busy``: one of them is at work;
- ``hold``: for how long nobody may go, as the server refused a call;
- ``wait``: ``[id, ticket or 0, age, max_concurrency, rate_limit]`` of those who want to go;
- ``lease``, ``period``; ``poll``, ``longest``, ``silence``, ``patience``: see ``leases``.

It returns how long to wait until asking again, and for each of ``wait`` its ticket, with
which it keeps its place: negative if it may go. 0: nobody was at work for longer than ``patience``.
"""
