-- SPDX-License-Identifier: MIT
-- By how much the clocks of hosts differ, where nobody measured it: from lines that two of them have.
local lines = require "migrun.diagnose.lines"

local clocks = {}

local LEAST_S = 2 -- less than that is the way of a message, and no clock's fault

-- A line of one host that quotes a line of the destination's QEMU, with its time.
local function by_quote(records, dest)
  local apart = {}
  for _, record in ipairs(records) do
    local _, own = lines.time_in(record.text)
    local quoted = lines.time_in(record.text, (own or 0) + 20)
    local is_qemus = record.text:find("%d%d%d%d%-%d%d%-%d%dT[%d:%.]+Z qemu", (own or 0) + 20)
    if record.host ~= dest and quoted and is_qemus and record.raw and not record.quoted then
      apart[record.host] = apart[record.host] or record.raw - quoted
    end
  end
  return apart
end

-- The first time of each request on each host.
local function by_request(records, dest)
  local first, apart = {}, {}
  for _, record in ipairs(records) do
    for _, id in ipairs(record.set == "nova" and record.raw and lines.requests(record.text) or {}) do
      first[id] = first[id] or {}
      first[id][record.host] = math.min(first[id][record.host] or record.raw, record.raw)
    end
  end
  for _, times in pairs(first) do
    for host, time in pairs(times) do
      if host ~= dest and times[dest] then
        local difference = time - times[dest]
        if not apart[host] or math.abs(difference) < math.abs(apart[host]) then apart[host] = difference end
      end
    end
  end
  return apart
end

---By how many seconds each host's clock is ahead of the destination's: {host → seconds}.
---@param records table[]  {host, raw (time by its clock), set, text}
---@param found table  the migration (migrun.diagnose.attempt)
---@return table<string, number>
function clocks.apart(records, found)
  local dest, apart = found.dest, {}
  if not dest then return apart end
  local requests = by_request(records, dest)
  for host, seconds in pairs(requests) do apart[host] = seconds end
  -- QEMU is there a second or so before the source's begins to send
  if found.arrival and found.departure then
    apart[found.source] = found.departure.began - found.arrival.began - 1
  end
  for host, seconds in pairs(by_quote(records, dest)) do apart[host] = seconds end
  for host, seconds in pairs(apart) do
    if math.abs(seconds) < LEAST_S then apart[host] = nil end
  end
  return apart
end

return clocks
