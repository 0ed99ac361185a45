-- SPDX-License-Identifier: MIT
-- The first cause in the lines of all logs: by true time, and not by the loudest line. Carriers point to
-- somebody else's words; what follows from the end of a migration is not why it ended.
local entries = require "migrun.diagnose.entries"
local lines = require "migrun.diagnose.lines"

local judge = {}

local SOON_S = 3 -- clocks are not known better, where they had to be estimated

local function explains(kind) return kind == "cause" or kind == "danger" end

-- Whose line it is: "own" (of the guest's QEMU), "tied" (it names the guest, or its request), "near" (it
-- names nobody, and fits the time), nil (somebody else's).
local function tie_of(record, found, known)
  local text = record.text
  if record.set == "own" then return "own" end
  if record.set == "qemu" then return nil end
  local names_it = known.uuid and text:find(known.uuid, 1, true) or lines.names(text, known.name)
    or known.migration and text:find(known.migration, 1, true)
  if record.set == "system" and known.name then
    local killed = text:match("Killed process (%d+)")
    local guest = lines.unit_of(text) or killed and found.guests[record.host .. killed]
    if guest then return guest == known.name and "near" or nil end
  end
  if record.set == "nova" then
    if text:find("] GET /", 1, true) then return nil end -- who asks about it
    for _, id in ipairs(lines.requests(text)) do
      if found.requests[id] then return "tied" end
    end
    if names_it and (not found.request or #lines.requests(text) == 0) then return "tied" end
    return nil
  end
  if names_it then return "tied" end
  for name in pairs(found.others) do
    if lines.names(text, name) then return nil end
  end
  for message in pairs(found.others_said) do
    if text:find(message, 1, true) then return nil end
  end
  return "near"
end

-- The lines of a traceback name no request: they go with the line of the same moment and process before them.
-- traced: {path → the beginning of the last line that was tied}.
local function trace_of(record, traced)
  if record.set ~= "nova" then return nil end
  local place, head = record.host .. record.path, record.text:match("^[%d%-]+ [%d:%.]+ %d+ ")
  if #lines.requests(record.text) == 0 and head and traced[place] == head then return "tied" end
  traced[place] = nil
end

-- Other guests whose QEMU failed in these lines, and what they said.
local function others_of(records)
  local names, said = {}, {}
  for _, record in ipairs(records) do
    if record.set == "qemu" and not record.as:find("%-swtpm%.log") then
      local name = record.as:match("([^/]+)%.log[^/]*$")
      if name then names[name] = true end
      local message = lines.message(record.text)
      if #message > 20 and lines.is_error(message) then said[message] = true end
    end
  end
  return names, said
end

-- Whose QEMU a pid is, as the kernel says when it ends one for its memory: {host and pid → name}.
local function guests_of(records)
  local guests = {}
  for _, record in ipairs(records) do
    local name, pid = lines.unit_of(record.set == "system" and record.text or "")
    if pid then guests[record.host .. pid] = name end
  end
  return guests
end

-- All request ids of this migration: the ids that stand beside its own.
local function requests_of(records, first)
  local ids = {}
  if not first then return ids end
  ids[first] = true
  for _, record in ipairs(records) do
    local all = record.set == "nova" and lines.requests(record.text) or {}
    local ours = false
    for _, id in ipairs(all) do ours = ours or ids[id] end
    for _, id in ipairs(ours and all or {}) do ids[id] = true end
  end
  return ids
end

-- What a line is worth: "danger", "cause", "error" (of QEMU, and not known), "told" (of another log, and not
-- known), "why" (it explains a connection that broke, and nothing else), "carrier", "consequence", nil.
local function worth_of(record)
  local text = record.text
  local level = record.set == "nova" and lines.level(text)
  if level == "DEBUG" and not text:find("Skipping host", 1, true) then return nil end
  local entry, captures = entries.of(text)
  record.entry, record.captures = entry, captures
  local kind = entry and entry.kind
  if kind == "noise" then return nil end
  if record.set == "own" then
    if kind and kind ~= "cause" then return kind end
    if lines.is_noise(text) then return nil end
    if kind then return kind end
    if text:find("warning:", 1, true) then return nil end
    return lines.is_error(text) and "error" or nil
  end
  if record.set == "system" then
    return explains(kind) and record.tie ~= "near" and kind or kind == "why" and kind or nil
  end
  if record.tie == "near" and lines.is_idle(text) then return nil end
  if kind then return kind end
  local is_libvirts = record.set == "libvirt" and not text:find(": warning :", 1, true)
  local loud = is_libvirts or level == "ERROR" or level == "CRITICAL" or level == "TRACE"
  return loud and "told" or nil
end

-- The first record of each worth. The records are in the order of their true times.
local function first_of(records)
  local first = {}
  for _, record in ipairs(records) do
    local worth = record.worth
    if worth and not first[worth] then first[worth] = record end
  end
  return first
end

-- What explains a connection that broke: the last such word of the system before it, or soon after.
local function why_of(records, carrier, began)
  local found
  for _, record in ipairs(records) do
    local apart = record.worth == "why" and carrier.time and record.time and carrier.time - record.time
    if apart and apart > -SOON_S and record.time > began - SOON_S then found = record end
  end
  return found
end

---Looks at the lines of a migration. Marks each that is worth something (worth, tie), and returns the
---verdict: {kind = cause|danger|carrier|aborted|unknown, record, entry, captures}.
---@param records table[]  {host, path, line, at, time (true, or nil), set, text}, by their times
---@param all table[]  the same, of a time before and after the migration, too
---@param found table  the migration; gets requests, others
---@param known table  {uuid, name}
---@return table verdict
function judge.verdict(records, all, found, known)
  found.others, found.others_said = others_of(all)
  found.guests = guests_of(records)
  found.requests = requests_of(records, found.request)
  local ours, traced = {}, {}
  for _, record in ipairs(records) do
    record.tie = tie_of(record, found, known) or trace_of(record, traced)
    if record.tie then
      if record.set == "nova" then
        traced[record.host .. record.path] = record.text:match("^[%d%-]+ [%d:%.]+ %d+ ")
      end
      record.worth = worth_of(record)
      if record.worth then ours[#ours + 1] = record end
    end
  end
  local first = first_of(ours)
  local cause, broken = first.cause, first.error
  -- an error of QEMU that nobody knows counts before a known one, if it is surely earlier
  if cause and broken and broken.time and cause.time
    and (broken.time > cause.time or (broken.host ~= cause.host and cause.time - broken.time < SOON_S)) then
    broken = nil
  end
  local function by(kind, record) return { kind = kind, record = record, ours = ours } end
  if first.danger then return by("danger", first.danger) end
  if broken and cause then return by("unknown", broken) end
  if cause then return by("cause", cause) end
  if broken then return by("unknown", broken) end
  local carrier = first.carrier
  for _, record in ipairs(ours) do
    if record.worth == "carrier" and record.entry.cause then carrier = record; break end
  end
  local why = carrier and why_of(ours, carrier, found.began)
  if why then return by("cause", why) end
  local cancelled
  for _, record in ipairs(ours) do
    local says_so = record.worth == "consequence" and record.text:lower():find("cancel", 1, true)
    cancelled = cancelled or says_so and record
  end
  if cancelled and not (carrier and carrier.entry.cause and carrier.tie ~= "near") then
    return by("aborted", cancelled)
  end
  if carrier and carrier.entry.cause then return by("carrier", carrier) end
  if first.told then return by("unknown", first.told) end
  return by("unknown", carrier)
end

return judge
