-- SPDX-License-Identifier: MIT
-- From an error of libvirt, QEMU or Nova to its cause and remedy, by the catalogue. The destination's QEMU
-- log is asked first, as libvirt's own message is often only the carrier of what QEMU said there.
local entries = require "migrun.diagnose.entries"
local lines = require "migrun.diagnose.lines"

local diagnose = { kind = entries.kind }

local function explains(kind) return kind == "cause" or kind == "danger" end

-- By how much a host's clock is ahead of this machine's, about.
local function ahead(host)
  local facts = host.facts
  if not (facts and facts.clock and facts.told and facts.time) then return 0 end
  return ((facts.told - facts.clock.answered) + (facts.time - facts.clock.asked)) / 2
end

-- What a line is: "danger"; "error", known or not; "carried", of somebody else's end; "other", neither an
-- error nor a warning. nil: it explains nothing.
local function rank_of(text)
  local kind = diagnose.kind(text)
  if kind == "danger" then return "danger" end
  if kind == "consequence" or kind == "noise" or lines.is_noise(text) then return nil end
  if kind == "carrier" then return "carried" end
  if kind == "cause" then return "error" end
  if text:find("warning:", 1, true) then return nil end
  return lines.is_error(text) and "error" or "other"
end

-- The first line of each rank, by true time over all logs; a line without a time is as old as the one before.
local function first_lines(logs)
  local first = {}
  for number, log in ipairs(logs) do
    local offset, at = ahead(log.host), 0
    for _, line in ipairs(log:lines()) do
      local time = lines.time_in(line.text, 1)
      at = time and time - offset or at
      local rank = rank_of(line.text)
      if rank and (not first[rank] or (at > 0 and first[rank].at > at and first[rank].number ~= number)) then
        first[rank] = { line = line, log = log, at = at, number = number }
      end
    end
  end
  return first
end

-- The line that tells most, its log, and whether it is an error's.
local function telling_line(logs)
  local first = first_lines(logs)
  local found = first.danger or first.error or first.other or first.carried
  if found then return found.line, found.log, found == first.danger or found == first.error end
end

local function names_of(run)
  return entries.names { source = run.source and run.source.name, dest = run.dest and run.dest.name,
    facts = run.dest and run.dest.facts, instance = run.instance and run.instance.name }
end

---Cause and remedy of a text, or nil when none is known.
---@param text string
---@param run Run
---@return string|nil cause
---@return string|nil remedy
function diagnose.known(text, run)
  local entry, captures = entries.of(text)
  if entry and entry.cause then
    local names = names_of(run)
    return entries.fill(entry.cause, names, captures), entries.fill(entry.remedy, names, captures)
  end
end

-- libvirt's error of this instance in the log of the source's nova-compute: Nova's API does not pass it on.
local function libvirt_error_of(run, log)
  local found, where
  for _, line in ipairs(log and log:lines() or {}) do
    local message = line.text:find(run.instance.uuid, 1, true)
      and line.text:match("Live Migration failure: (.*)$")
    if message then
      found = message:gsub(": libvirt%.libvirtError: .*$", "")
      where = ("%s:%s:%d"):format(log.host.name, log.path, line.number)
    end
  end
  return found, where
end

---The lines below the verdict: {label, text} each, with the line of a QEMU's log where it stands.
---@param run Run
---@param failure Error
---@param log Log|nil  the destination's QEMU's, since the migration began
---@param nova_log Log|nil  the source's nova-compute's, since then
---@param source_log Log|nil  the source's QEMU's
---@return table[]
function diagnose.explain(run, failure, log, nova_log, source_log)
  local where, said
  local by_nova, carried = failure.domain == "openstack", nil
  if by_nova and failure.code == 0 then carried, where = libvirt_error_of(run, nova_log) end
  if carried then
    -- Nova said nothing of it; what libvirt said is in the log, and its carrier may be QEMU's own words.
    failure = { domain = "libvirt", message = carried, code = failure.code, said = failure.message }
  end
  local by_message, cause, remedy = diagnose.kind(failure.message), nil, nil
  local line, its_log, is_telling
  if failure.domain == "libvirt" then
    line, its_log, is_telling = telling_line(log and { log, source_log } or { source_log })
  end
  local counts = line and (is_telling or not by_message)
  if counts and (explains(diagnose.kind(line.text)) or not explains(by_message)) then
    where, said = ("%s:%s:%d"):format(its_log.host.name, its_log.path, line.number), line.text
    cause, remedy = diagnose.known(said, run)
  end
  -- A line that explains nothing stands in the way of no cause; a carrier's words stand in for none.
  if not said then cause, remedy = diagnose.known(failure.message, run) end
  local is_carried = said and not cause and by_message == "carrier"
  local text = cause or is_carried and "not known; the first error in the logs of its QEMU:"
    or failure.message
  if carried and not said then
    text = cause and ("%s\n  %s\n    %s"):format(cause, where, carried) or ("%s\n  %s"):format(carried, where)
  end
  if said then text = ("%s\n  %s\n    %s"):format(text, where, said) end
  local details = { { label = "Cause", text = text } }
  -- libvirt's own words, where they say more than the log's line does.
  local tail = said and said:match("qemu[^ ]*: (.*)$") or said
  if failure.said then
    details[#details + 1] = { label = "Said", text = failure.said }
  elseif (cause or is_carried) and not (tail and failure.message:find(tail, 1, true)) then
    details[#details + 1] = { label = "Said", text = failure.message }
  end
  if remedy then details[#details + 1] = { label = "Remedy", text = remedy } end
  return details
end

return diagnose
