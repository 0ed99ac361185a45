-- SPDX-License-Identifier: MIT
-- migrun diagnose: says which lines of which logs it wants to see, is given them, and ends with an answer. It
-- reads nothing itself (src/lua/diagnosis.c asks the hosts).
local attempt = require "migrun.diagnose.attempt"
local clocks = require "migrun.diagnose.clocks"
local entries = require "migrun.diagnose.entries"
local fits = require "migrun.diagnose.fits"
local judge = require "migrun.diagnose.judge"
local lines = require "migrun.diagnose.lines"

local inquire = {}

local BEFORE_S, AFTER_S = 5, 10   -- around the migration's first and last sign, for a story
local AT_ONCE_S = 1               -- before its first sign nothing is its cause
local SKEW_S = 120                -- clocks that nobody measured
local STORY_MOST = 5000
local LATELY_S = 86400            -- Nova's API is not asked about longer ago
local ROUNDS = 4

-- Asks each host for the lines that name the guest.
local function look(state, since)
  state.queries = {}
  for _, host in ipairs(state.request.hosts) do
    local query = attempt.look(state.known, state.request, (state.request.places or {})[host])
    query.since = since and since + ((state.request.ahead or {})[host] or 0)
    state.queries[host] = query
  end
  return state
end

---Which question comes first. The answers go to inquire.narrow.
---@param request table  {subject, offline, since, until, folders, hosts: [name], ahead, places, facts, told,
---  now, nova_away}
---@return table state  {known, queries (by host), found}
function inquire.begin(request)
  local subject = request.subject
  local known = { subject = subject }
  if lines.is_request(subject) then known.request = subject
  elseif lines.is_uuid(subject) then known.uuid = subject:lower() end
  local state = { request = request, known = known, round = 1 }
  local told = request.told -- by a run's journal, or by Nova
  if told and told.by_nova and (told.ended < (request.since or told.ended)
    or told.began > (request["until"] or told.began)) then
    request.told, told = nil, nil -- not what is asked for
  end
  if told then
    known.uuid, known.name, known.migration = told.uuid or known.uuid, told.name, told.migration
    state.found = { began = told.began, ended = told.ended, source = told.source, dest = told.dest,
      request = told.request, zones = {} }
    if not told.by_nova then return inquire.read(state) end
    state.checking = true
    return look(state, math.max(told.ended, (request.now or told.ended) - LATELY_S))
  end
  return look(state, request.since)
end

-- The window of a migration, by each host's clock.
function inquire.read(state)
  local found, request = state.found, state.request
  local margin = request.offline and SKEW_S or 0
  local queries = {}
  for _, host in ipairs(request.hosts) do
    local ahead = (request.ahead or {})[host] or 0
    local sets = lines.sets(state.known.name, (request.places or {})[host])
    local needles = lines.needles { uuid = state.known.uuid, name = state.known.name,
      request = state.known.request, migration = state.known.migration }
    if found.request then needles[#needles + 1] = found.request end
    queries[host] = { folders = request.folders, sets = sets, needles = needles,
      journal = not request.offline,
      since = found.began - BEFORE_S - margin + ahead, ["until"] = found.ended + AFTER_S + margin + ahead,
      zone = request.offline and (found.zones[host] or 0) or nil }
  end
  state.queries, state.reading = queries, true
  return state
end

---Takes what the hosts answered to the last question; state.queries is the next one, and where there is none
---state.answer is the end.
---@param state table
---@param answers table<string, table>  {host → {lines, files, left} or {error}}
---@return table state
function inquire.narrow(state, answers)
  local usable = {}
  for host, answer in pairs(answers) do if not answer.error then usable[host] = answer end end
  if state.reading then
    state.queries = nil
    state.answer = inquire.conclude(state, answers)
    return state
  end
  if state.checking then
    state.checking = nil
    local later = attempt.later_request(state.known, usable, state.found)
    if later then
      state.found, state.request.told = later, nil
    end
    return inquire.read(state)
  end
  local found, more = attempt.find(state.known, usable, state.request)
  state.round = state.round + 1
  if more and state.round <= ROUNDS then
    return look(state, state.request.since)
  end
  if found then
    state.found = found
    return inquire.read(state)
  end
  state.queries = nil
  state.answer = { kind = "nothing", not_read = inquire.unread(answers, state.request.nova_away),
    known = state.known }
  return state
end

---What could not be read: {host, path (or nil), why} each.
---@param answers table<string, table>
---@param nova_away string|nil  why Nova could not be asked
---@return table[]
function inquire.unread(answers, nova_away)
  local unread = { nova_away and { host = "Nova", why = nova_away } or nil }
  for host, answer in pairs(answers) do
    if answer.error then unread[#unread + 1] = { host = host, why = answer.error } end
    for _, file in ipairs(answer.files or {}) do
      if file.error then unread[#unread + 1] = { host = host, path = file.path, why = file.error } end
    end
    if (answer.left or 0) > 0 then
      unread[#unread + 1] = { host = host, why = ("%d more lines of that time"):format(answer.left) }
    end
  end
  table.sort(unread, function(a, b)
    return a.host .. (a.path or "") .. a.why < b.host .. (b.path or "") .. b.why
  end)
  return unread
end

-- In libvirtd's log: a line of QEMU, with QEMU's own time, which may be another host's.
local QUOTED = "^%d%d%d%d%-%d%d%-%d%dT[%d:%.]+Z qemu"

local function records_of(answers, ahead)
  local records = {}
  for host, answer in pairs(answers) do
    for order, line in ipairs(answer.lines or {}) do
      local file = answer.files[line.file + 1]
      local set = file.set
      if set == "system" or set == "journal" then set = lines.program_set(line.text) end
      records[#records + 1] = { host = host, path = file.path, as = file.as or file.path, set = set,
        line = line.line, at = line.at,
        raw = line.time, time = line.time and line.time - (ahead[host] or 0), text = line.text, order = order,
        quoted = file.set == "libvirt" and line.text:find(QUOTED) ~= nil }
    end
  end
  return records
end

local function by_time(a, b)
  if a.time ~= b.time then
    if not a.time or not b.time then return b.time == nil and a.time ~= nil end
    return a.time < b.time
  end
  local a_own, b_own = a.set == "own", b.set == "own"
  if a_own ~= b_own then return a_own end -- who quotes QEMU did so later
  if a.host ~= b.host then return a.host < b.host end
  return a.order < b.order
end

-- Nova's lines that name the destination.
local TO_HOST = { "nable to migrate [%x%-]+ to ([%w%.%-]+): ", "on destination host ([%w%.%-]+[%w])",
  "igration of instance [%x%-]+ to host ([%w%.%-]+[%w]) " }

local function name_by_nova(found, records, request, known)
  local asked = {}
  for _, host in ipairs(request.hosts) do asked[host] = true end
  for _, record in ipairs(records) do
    for _, pattern in ipairs(record.set == "nova" and not found.dest and TO_HOST or {}) do
      local host = record.text:match(pattern)
      local is_its = found.request and record.text:find(found.request, 1, true)
        or known.uuid and record.text:find(known.uuid, 1, true)
      if is_its and asked[host] then found.dest = host end
      if is_its then found.named = found.named or host end -- also one whose logs are not here
    end
  end
end

-- What the destination's libvirtd refuses, the source's says once more.
local function name_by_echo(found, records)
  local first = {}
  for _, record in ipairs(records) do
    local message = record.set == "libvirt" and lines.message(record.text) or ""
    if #message > 20 and not lines.is_idle(message) and entries.kind(message) ~= "noise" then
      first[message] = first[message] or record.host
      if first[message] ~= record.host then
        found.dest, found.source = first[message], record.host
        return
      end
    end
  end
end

-- Names the hosts that the lines leave open: with two that run guests, the other one.
local function name_hosts(found, records, request, known)
  local has = {}
  for _, record in ipairs(records) do
    if record.set == "own" or record.set == "qemu" or record.set == "libvirt" then has[record.host] = true end
  end
  for _, record in ipairs(records) do -- who was refused by the other libvirtd is the source
    local refused = record.set == "libvirt" and record.text:find("virNetClientProgramDispatchError", 1, true)
    if refused and not found.source and record.host ~= found.dest then found.source = record.host end
  end
  if not found.dest then name_by_nova(found, records, request, known) end
  if not found.source and not found.dest then name_by_echo(found, records) end
  local list = {}
  for _, host in ipairs(request.hosts) do if has[host] then list[#list + 1] = host end end
  for _, pair in ipairs { { "source", "dest" }, { "dest", "source" } } do
    if not found[pair[1]] and found[pair[2]] and #list == 2 then
      found[pair[1]] = list[1] == found[pair[2]] and list[2] or list[1]
    end
  end
end

-- When it began and ended, by the clock of the destination, where hosts' clocks had to be estimated.
local function span_of(found, ahead)
  local began, ended
  for _, sign in pairs { found.arrival or false, found.departure or false } do
    local skew = sign and ahead[sign.host] or 0
    if sign then
      began = math.min(began or sign.began, sign.began - skew)
      ended = math.max(ended or sign.began, math.min(sign.ended, found.ended) - skew)
    end
  end
  if began and next(ahead) then return began, ended end
  return found.began, found.ended
end

-- The records of its time: Nova's go by their request; of QEMU's lives those that had not ended before.
-- known_clocks: hosts, or nil for all.
local function of_its_time(records, found, ahead, known_clocks)
  local from, to = span_of(found, ahead)
  local ends, life = {}, {}
  from, to = from - AT_ONCE_S, to + AFTER_S
  for _, record in ipairs(records) do
    if record.set == "own" then
      local place = record.host .. record.path
      if record.text:find(": starting up", 1, true) or not life[place] then life[place] = {} end
      record.life = life[place]
      ends[record.life] = record.time or ends[record.life]
    end
  end
  local inside = {}
  for _, record in ipairs(records) do
    local time = record.set == "own" and ends[record.life] or record.time
    local slack = known_clocks and not known_clocks[record.host] and SKEW_S or 0
    local fits = not time or record.set == "nova"
      or time >= from - slack and (record.set == "own" or time <= to + slack)
    if fits then inside[#inside + 1] = record end
  end
  return inside
end

local NOTES = { consequence = "follows from it", carrier = "carries it" }
local MOST_EVIDENCE = 10

-- The line itself first, then what else counts, in order, each message once.
local function evidence_of(verdict)
  local chosen, list, seen = verdict.record, {}, {}
  local function add(record, note)
    local message = lines.message(record.text)
    if #list >= MOST_EVIDENCE or message == "" then return end
    for _, other in ipairs(seen) do
      if message:find(other, 1, true) then return end -- it says the same in its own frame
    end
    seen[#seen + 1] = message
    list[#list + 1] = { host = record.host, path = record.path, line = record.line, at = record.at,
      time = record.time, text = record.text, says = message, note = note }
  end
  if chosen then add(chosen) end
  for _, record in ipairs(verdict.ours) do
    if record ~= chosen then add(record, NOTES[record.worth]) end
  end
  return list
end

local function has_moved(found, records, request)
  if request.told and request.told.moved then return true end
  local left, failed = false, false
  for _, record in ipairs(records) do
    if record.set == "own" and record.time and record.time >= found.began - 1 then
      left = left or record.text:find("reason=migrated", 1, true) ~= nil
      failed = failed or record.text:find("reason=failed", 1, true) ~= nil
    end
  end
  return left and not failed
end

local ABORTED = "somebody, or a time limit, aborted the migration"

-- QEMU's command line and the like have no place in a story.
local function is_idle(record)
  local text = record.text
  return record.set == "own" and not record.worth and lines.is_noise(text)
    and not (text:find(": starting up", 1, true) or text:find("initiating", 1, true)
      or text:find("shutting down", 1, true))
end

-- The lines of its time, and all, in the order of their true times; and by how much each host's clock is
-- ahead: measured, or, of copies, told by the lines themselves (known_clocks: of these hosts).
local function in_order(state, answers)
  local found, request, known_clocks = state.found, state.request, nil
  local ahead = request.ahead or {}
  local records = records_of(answers, ahead)
  table.sort(records, by_time)
  name_hosts(found, records, request, state.known)
  if request.offline then
    ahead, known_clocks = clocks.apart(records, found)
    for _, record in ipairs(records) do
      local clock = record.quoted and found.dest or record.host
      record.time = record.raw and math.floor((record.raw - (ahead[clock] or 0)) * 1000 + 0.5) / 1000
    end
    table.sort(records, by_time)
  end
  return of_its_time(records, found, ahead, known_clocks), records, ahead
end

-- Puts the verdict's cause into words, and what to do.
local function explain(answer, verdict, names)
  local record = verdict.record
  local entry, captures = record.entry, record.captures
  if not (entry and entry.cause) then return end
  answer.cause = entries.fill(entry.cause, names, captures)
  answer.remedy = entries.fill(entry.remedy, names, captures)
  answer.by, answer.releases = entry.by, entry.releases
  answer.need = fits.need(entry, captures)
  if answer.need then
    answer.need.except = { [answer.source or ""] = true, [answer.dest or ""] = true }
  end
end

local function story_of(records)
  local story = {}
  for _, record in ipairs(records) do
    if record.tie and not is_idle(record) then
      story[#story + 1] = { host = record.host, path = record.path, line = record.line, at = record.at,
        time = record.time, text = record.text, worth = record.worth }
    end
    if #story >= STORY_MOST then break end
  end
  return story
end

---The end: what the lines of all hosts say of the migration.
---@param state table
---@param answers table<string, table>
---@return table answer  {kind, cause, remedy, by, releases, need, evidence, story, not_read, known, source,
---  dest, began, ended, request, loose, later, verdict, ahead}
function inquire.conclude(state, answers)
  local found, request, known = state.found, state.request, state.known
  local records, all, ahead = in_order(state, answers)
  local verdict, told = judge.verdict(records, all, found, known), request.told or {}
  local answer = { kind = verdict.kind, evidence = evidence_of(verdict), story = story_of(records),
    known = known, not_read = inquire.unread(answers, request.nova_away), source = found.source,
    dest = found.dest or found.named, began = found.began, ended = found.ended, request = found.request,
    loose = found.loose, verdict = told.verdict, ahead = ahead,
    later = found.later and { host = found.later.host, time = found.later.time,
      says = lines.message(found.later.text) } }
  local broken = verdict.kind == "danger" or verdict.record and verdict.record.tie == "own"
  if not broken and has_moved(found, records, request) then
    answer.kind = "moved"
  elseif verdict.kind ~= "danger" and told.running then
    answer.kind, answer.cause = "running", ("nothing yet: Nova says that it is %s"):format(told.running)
  elseif verdict.kind == "aborted" then
    answer.cause = ABORTED
  elseif verdict.kind ~= "unknown" then
    explain(answer, verdict, entries.names { source = answer.source, dest = answer.dest,
      instance = known.name or known.uuid, host = verdict.record.host,
      facts = (request.facts or {})[found.dest] })
  end
  return answer
end

return inquire
