-- SPDX-License-Identifier: MIT
-- By how much the clocks of hosts differ, where nobody measured it: from lines that two of them have.
local lines = require "migrun.diagnose.lines"

local clocks = {}

local QUOTE_S = 1 -- less than that is the way of a message, and no clock's fault
local LEAST_S = 10 -- what happens on one host after the other takes its time

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

---By how many seconds each host's clock is ahead of the destination's (or the source's, where that is not
---known): {host → seconds}.
---@param records table[]  {host, raw (time by its clock), set, text}
---@param found table  the migration (migrun.diagnose.attempt)
---@return table<string, number>
---@return table<string, boolean> known  the hosts whose clock was told by a line
function clocks.apart(records, found)
  local dest, apart, known = found.dest or found.source, {}, {}
  if not dest then return apart, known end
  known[dest] = true
  local requests = by_request(records, dest)
  for host, seconds in pairs(requests) do apart[host] = seconds end
  -- QEMU is there a second or so before the source's begins to send
  if found.arrival and found.departure and found.source ~= dest then
    apart[found.source] = found.departure.began - found.arrival.began - 1
  end
  local quotes = by_quote(records, dest)
  for host, seconds in pairs(quotes) do apart[host] = seconds end
  for host, seconds in pairs(apart) do
    known[host] = true
    if math.abs(seconds) < (quotes[host] and QUOTE_S or LEAST_S) then apart[host] = nil end
  end
  return apart, known
end

return clocks
