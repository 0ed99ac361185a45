-- SPDX-License-Identifier: MIT
-- Which migration is meant: when it was, between which hosts, by which request. It is known from the journal
-- of a run, from Nova, or found in the logs themselves: Nova's lines of one request, and the lives of the
-- guest's QEMU.
local entries = require "migrun.diagnose.entries"
local lines = require "migrun.diagnose.lines"

local attempt = {}

local NEAR_S = 300   -- arrival and departure within it are of one migration
local SKEW_S = 120   -- clocks that nobody measured
local CLUSTER_S = 30 -- errors of one failure stand together so closely
local RETRY_S = 0.7  -- what libvirtd says of a try comes sooner than that, and of the next one later
local LATER_S = 15   -- after a migration, another one
local AT_ONCE_S = 5  -- what one host says of one thing, by one clock

local function extend(found, time)
  if not time then return end
  found.began = math.min(found.began or time, time)
  found.ended = math.max(found.ended or time, time)
end

-- ---- names ----

local function base(path) return path:match("([^/]+)$") end

---The guest's name, by the name of its QEMU's log.
---@param path string
function attempt.guest_of(path) return (base(path):match("^(.-)%.log[%d%.%-]*[%a%d]*$")) end

-- Adds what the lines tell of the guest's names: its uuid stands on QEMU's command line, in the log that has
-- its name.
local function learn_names(known, answers)
  local learnt = false
  for _, answer in pairs(answers) do
    for _, file in ipairs(answer.files or {}) do
      local is_its = file.set == "own" and attempt.guest_of(file.as or file.path) == known.subject
      if is_its then known.name = known.subject end
    end
    for _, line in ipairs(answer.lines or {}) do
      local file = answer.files[line.file + 1]
      local is_qemu = file.set == "qemu" or file.set == "own"
      local uuid = is_qemu and line.text:match("%-uuid (" .. lines.UUID .. ")")
      local name = is_qemu and attempt.guest_of(file.as or file.path)
      if uuid and known.uuid == uuid and not known.name then
        known.name, learnt = name, true
      elseif uuid and known.name and known.name == name and not known.uuid then
        known.uuid, learnt = uuid, true
      end
      local instance = line.text:match("%[instance: (" .. lines.UUID .. ")%]")
      local holds_subject = line.text:find(known.subject, 1, true)
      if instance and not known.uuid and holds_subject then known.uuid, learnt = instance, true end
    end
  end
  return learnt
end

-- ---- Nova's requests ----

-- Nova's lines may be in a local time that nobody knows: whole quarters of an hour away.
local function quarters(seconds) return math.floor(seconds / 900 + 0.5) * 900 end

-- That of a line which quotes one of QEMU's, whose times have a zone.
local function zone_of(line)
  local at = line.text:find("%d%d%d%d%-%d%d%-%d%dT[%d:%.]+Z qemu")
  local quoted = at and at > 1 and lines.time_in(line.text, at)
  return quoted and line.time and quarters(line.time - quoted) or nil
end

-- How surely a line is of a live migration: 3 it says so; 2 an action of the API that was refused, 1 one that
-- was accepted (the API's line of an action does not tell which); 0.
local function migrates(text)
  if text:find('"GET ', 1, true) then return 0 end -- who asks how far it is
  if text:lower():find("migrat", 1, true) then return 3 end
  if not text:find('"POST [^"]*/servers/' .. lines.UUID .. '/action') then return 0 end
  return text:find("status: [45]%d%d") and 2 or 1
end

-- {id → {id, began, ended, sure, spans = {host → {began, ended}}}} of the requests in lines of Nova's.
local function requests_of(known, answers)
  local found = {}
  for host, answer in pairs(answers) do
    for _, line in ipairs(answer.lines or {}) do
      local is_nova = answer.files[line.file + 1].set == "nova"
      for _, id in ipairs(is_nova and lines.requests(line.text) or {}) do
        local request = found[id] or { id = id, spans = {}, sure = 0 }
        found[id] = request
        extend(request, line.time)
        request.spans[host] = request.spans[host] or {}
        extend(request.spans[host], line.time)
        request.sure = math.max(request.sure, migrates(line.text))
        request.zone = request.zone or zone_of(line)
        known.uuid = known.uuid or line.text:match("%[instance: (" .. lines.UUID .. ")%]")
          or line.text:match("/servers/(" .. lines.UUID .. ")/action")
          or line.text:match("nable to migrate (" .. lines.UUID .. ") to ")
      end
    end
  end
  return found
end

-- The last request that was for a live migration; where none surely was, the last of any action.
local function last_request(known, answers)
  local all, last = requests_of(known, answers), nil
  if known.request then
    local request = all[known.request]
    return request and request.began and request or nil
  end
  for _, request in pairs(all) do
    local better = not last or (request.sure >= 2 and last.sure < 2)
      or ((request.sure >= 2) == (last.sure >= 2) and (request.began or 0) > (last.began or 0))
    if request.began and request.sure > 0 and better then last = request end
  end
  return last
end

-- ---- QEMU's lives ----

-- The lives in one host's log of the guest's QEMU: {began, incoming, leaves (when it began to go), ended,
-- reason}.
local function lives_of(answer)
  local lives, life = {}, nil
  for _, line in ipairs(answer.lines or {}) do
    if answer.files[line.file + 1].set == "own" then
      local text = line.text
      if text:find(": starting up", 1, true) or not life then
        life = { began = line.time, ended = line.time }
        lives[#lives + 1] = life
      end
      life.incoming = life.incoming or text:find("^%-incoming ") ~= nil
        or text:find("^%u.* %-incoming ") ~= nil -- a line of its own, or all on one
      if text:find("initiating migration", 1, true) then life.leaves = line.time end
      life.reason = text:match("shutting down, reason=(%a+)") or life.reason
      life.ended = line.time or life.ended
    end
  end
  return lives
end

-- By how much Nova's local time is ahead, if a life of QEMU on this host is the request's; nil: it is not.
-- Both are told by one clock.
local function fits(request, host, time, offline)
  local span = request.spans[host]
  if not span or not span.began then return nil end
  if time > span.began - AT_ONCE_S and time < span.ended + AT_ONCE_S then return 0 end
  local zone = quarters(span.ended - time)
  local inside = time > span.began - zone - AT_ONCE_S and time < span.ended - zone + AT_ONCE_S
  return offline and math.abs(zone) <= 14 * 3600 and inside and zone or nil
end

-- Arrivals and departures of the guest by its lives on all hosts: {host, comes, began, ended, reason}.
local function signs_of(answers)
  local signs = {}
  for host, answer in pairs(answers) do
    for _, life in ipairs(lives_of(answer)) do
      local function add(comes, time) -- one that came may have left again
        signs[#signs + 1] = { host = host, comes = comes, began = time, ended = life.ended,
          reason = life.reason }
      end
      if life.incoming and life.began then add(true, life.began) end
      if life.leaves then add(false, life.leaves) end
    end
  end
  return signs
end

-- The latest arrival and departure (of a request alone, or of any): {source, dest, began, ended, arrival,
-- departure, zone}.
local function last_move(answers, request, offline)
  local arrival, departure, zone
  local zone_there = offline and request and request.zone or 0
  local slack = AT_ONCE_S + (offline and SKEW_S or 0)
  local function is_at_its_time(sign)
    return sign.began > request.began - zone_there - slack and sign.began < request.ended - zone_there + slack
  end
  -- surely: of hosts that tell of the request; else of those that do not, near what the others tell
  local function look(surely)
    for _, sign in ipairs(signs_of(answers)) do
      local other = sign.comes and departure or not sign.comes and arrival or nil
      local ahead = request and fits(request, sign.host, sign.began, offline)
      local is_near = not surely and not request.spans[sign.host]
        and (other and math.abs(sign.began - other.began) < NEAR_S or not other and is_at_its_time(sign))
      if not request or (surely and ahead) or is_near then
        zone = ahead or zone
        if sign.comes and (not arrival or sign.began > arrival.began) then arrival = sign end
        if not sign.comes and (not departure or sign.began > departure.began) then departure = sign end
      end
    end
  end
  look(true)
  if request and not (arrival and departure) then look(false) end
  local apart = arrival and departure and (arrival.host == departure.host -- there and back
    or math.abs(arrival.began - departure.began) > NEAR_S)
  if apart then
    if arrival.began > departure.began then departure = nil else arrival = nil end
  end
  if not arrival and not departure then return nil end
  local found = { dest = arrival and arrival.host, source = departure and departure.host, arrival = arrival,
    departure = departure, zone = zone }
  for _, sign in pairs { arrival, departure } do
    extend(found, sign.began)
    -- one that runs on there ends with what comes next
    if sign.ended < sign.began + NEAR_S then extend(found, sign.ended) end
  end
  return found
end

-- ---- libvirtd's errors ----

-- The errors of libvirtd, in the order of their times: {time, host, text, names (it names the guest)}.
local function libvirt_errors(known, answers)
  local errors = {}
  for host, answer in pairs(answers) do
    for _, line in ipairs(answer.lines or {}) do
      local set = answer.files[line.file + 1].set
      local is_libvirts, of_system = set == "libvirt", set == "system" or set == "journal"
      local said = is_libvirts and line.text:find(": error :", 1, true)
        or of_system and lines.program_set(line.text) == "libvirt"
      local is_noise = said and (entries.kind(line.text) == "noise" or lines.is_idle(line.text))
      if line.time and said and not is_noise then
        errors[#errors + 1] = { time = line.time, host = host, text = line.text,
          names = lines.names(line.text, known.name) or lines.names(line.text, known.uuid) }
      end
    end
  end
  table.sort(errors, function(a, b) return a.time < b.time end)
  return errors
end

-- When a host's own sign of a migration ended; else when all of them had.
local function sign_of(found, host)
  for _, sign in pairs { found.arrival or false, found.departure or false } do
    if sign and sign.host == host then return math.min(sign.ended, sign.began + NEAR_S) end
  end
  return found.ended
end

-- Where the last error that names the guest came later than all else, it is of a migration that left no other
-- sign: refused before a QEMU was started.
local function last_named(errors, found, offline)
  for i = #errors, 1, -1 do
    local error = errors[i]
    if error.names then
      local same_clock = found and (error.host == found.dest or error.host == found.source)
      local later = RETRY_S + (offline and not same_clock and SKEW_S or 0)
      local is_later = not found or error.time > sign_of(found, error.host) + later
      return is_later and { began = error.time, ended = error.time } or nil
    end
  end
end

-- An error that names nobody, after all that is known: it may be of a later try.
local function later_than(errors, found)
  local last = errors[#errors]
  local is_later = last and not last.names and last.time > found.ended + LATER_S
    and (last.host == found.source or not found.source)
  return is_later and last or nil
end

-- Where nothing names the guest: the last of libvirtd's errors that stand closely together, on a host that
-- has the guest.
local function last_cluster(errors, answers)
  local has_guest, last, began = {}, nil, nil
  for host, answer in pairs(answers) do
    for _, file in ipairs(answer.files or {}) do has_guest[host] = has_guest[host] or file.set == "own" end
  end
  for i = #errors, 1, -1 do
    local error = errors[i]
    last = last or has_guest[error.host] and error
    if last and error.host == last.host and last.time - error.time < CLUSTER_S then began = error.time end
  end
  return last and { began = began, ended = last.time, source = last.host, zones = {}, loose = true } or nil
end

-- ---- all together ----

---What is asked of a host at first: the lines that name it.
---@param known table  {subject, uuid, name, request}
---@param request table
---@param places table|nil  the site's own paths there
---@return table query
function attempt.look(known, request, places)
  local sets = lines.sets(known.name or known.subject, places)
  for _, set in ipairs(sets) do
    local is_systems = set.name == "system" or set.name == "journal"
    if is_systems then
      set.words = {}
      for i, program in ipairs(lines.LIBVIRTS) do set.words[i] = program .. "[" end
    elseif set.name ~= "own" then
      set.words, set.without = set.name == "libvirt" and { ": error :" } or {}, nil
    end
  end
  return { folders = request.folders, sets = sets, needles = lines.needles(known), last = true,
    journal = not request.offline and lines.LIBVIRTS or nil,
    since = request.since, ["until"] = request["until"], zone = request.offline and 0 or nil }
end

---What Nova's API was asked after a migration that it keeps a record of, and refused: it keeps none of that.
---@param known table
---@param answers table
---@param told table  the migration
---@return table|nil found  as attempt.find
function attempt.later_request(known, answers, told)
  local request = last_request(known, answers)
  local is_later = request and request.sure >= 2 and request.id ~= told.request and request.began > told.ended
  if not is_later then return nil end
  return { began = request.began, ended = request.ended, request = request.id, source = told.source,
    zones = {} }
end

---Reads what the hosts answered. more: something was learnt that makes it worth while to look again.
---@param known table
---@param answers table  {host → {lines, files}}
---@param request table
---@return table|nil found  {began, ended, source, dest, request, zones, later}
---@return boolean more
function attempt.find(known, answers, request)
  if learn_names(known, answers) then return nil, true end
  local had_uuid = known.uuid
  local by_nova = last_request(known, answers)
  if known.uuid ~= had_uuid then return nil, true end
  local by_qemu = last_move(answers, by_nova, request.offline)
  local other = by_nova and not by_qemu and not known.request and last_move(answers)
  if other and other.began > by_nova.ended + NEAR_S then by_nova, by_qemu = nil, other end -- somebody else's
  local errors = libvirt_errors(known, answers)
  local named = not by_nova and last_named(errors, by_qemu, request.offline)
  if named then
    return { began = named.began, ended = named.ended, zones = {}, later = later_than(errors, named) }, false
  end
  if not by_nova and not by_qemu then return last_cluster(errors, answers), false end
  local zones, zone = {}, by_qemu and by_qemu.zone or request.offline and by_nova and by_nova.zone or 0
  for host in pairs(answers) do zones[host] = zone end
  local found = { zones = zones, request = by_nova and by_nova.id }
  if by_nova then
    extend(found, by_nova.began - zone)
    extend(found, by_nova.ended - zone)
  end
  if by_qemu then
    extend(found, by_qemu.began)
    extend(found, by_qemu.ended)
    found.source, found.dest = by_qemu.source, by_qemu.dest
    found.arrival, found.departure = by_qemu.arrival, by_qemu.departure
  end
  found.later = later_than(errors, found)
  return found, false
end

return attempt
