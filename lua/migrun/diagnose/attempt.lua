-- SPDX-License-Identifier: MIT
-- Which migration is meant: when it was, between which hosts, by which request. It is known from the journal of
-- a run, from Nova, or found in the logs themselves: Nova's lines of one request, and the lives of the guest's
-- QEMU.
local lines = require "migrun.diagnose.lines"

local attempt = {}

local NEAR_S = 300  -- two signs within it are of one migration

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
      if file.set == "own" and attempt.guest_of(file.path) == known.subject then known.name = known.subject end
    end
    for _, line in ipairs(answer.lines or {}) do
      local file = answer.files[line.file + 1]
      local is_qemu = file.set == "qemu" or file.set == "own"
      local uuid = is_qemu and line.text:match("^%-uuid (" .. lines.UUID .. ")")
      local name = is_qemu and attempt.guest_of(file.path)
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

local MIGRATION_WORDS = { "live migrat", "live-migrat", "live_migrat", "os-migratelive", "livemigrat",
  "migrat" }

local function is_of_migration(text)
  local plain = text:lower()
  for _, word in ipairs(MIGRATION_WORDS) do
    if plain:find(word, 1, true) then return true end
  end
  -- the API's line of an action tells no more
  return text:find('"POST [^"]*/servers/' .. lines.UUID .. '/action')
end

-- {id → {began, ended, migrates, failed}} of the requests in lines that name the guest, or the request itself.
local function requests_of(known, answers)
  local found = {}
  for host, answer in pairs(answers) do
    for _, line in ipairs(answer.lines or {}) do
      if answer.files[line.file + 1].set == "nova" then
        for _, id in ipairs(lines.requests(line.text)) do
          local request = found[id] or { id = id, hosts = {} }
          found[id] = request
          extend(request, line.time)
          request.hosts[host] = true
          request.migrates = request.migrates or is_of_migration(line.text)
          request.failed = request.failed or line.text:find(" ERROR ", 1, true) ~= nil
            or line.text:find("status: [45]%d%d") ~= nil
          if known.uuid == nil then known.uuid = line.text:match("%[instance: (" .. lines.UUID .. ")%]") end
        end
      end
    end
  end
  return found
end

local function last_request(known, answers)
  local all, last = requests_of(known, answers), nil
  if known.request then return all[known.request] end
  for _, request in pairs(all) do
    local better = not last or (request.migrates and not last.migrates)
      or (request.migrates == last.migrates and (request.began or 0) > (last.began or 0))
    if request.began and better then last = request end
  end
  return last and last.migrates and last or nil
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
      life.incoming = life.incoming or text:find("^%-incoming") ~= nil
      if text:find("initiating migration", 1, true) then life.leaves = line.time end
      life.reason = text:match("shutting down, reason=(%a+)") or life.reason
      life.ended = line.time or life.ended
    end
  end
  return lives
end

-- The latest arrival or departure of the guest, by its lives on all hosts: {source, dest, began, ended}.
local function last_move(answers)
  local arrival, departure
  for host, answer in pairs(answers) do
    for _, life in ipairs(lives_of(answer)) do
      if life.incoming and life.began and (not arrival or life.began > arrival.began) then
        arrival = { host = host, began = life.began, ended = life.ended, reason = life.reason }
      end
      if life.leaves and (not departure or life.leaves > departure.began) then
        departure = { host = host, began = life.leaves, ended = life.ended, reason = life.reason }
      end
    end
  end
  if arrival and departure and math.abs(arrival.began - departure.began) > NEAR_S then
    if arrival.began > departure.began then departure = nil else arrival = nil end
  end
  if not arrival and not departure then return nil end
  local found = { dest = arrival and arrival.host, source = departure and departure.host, arrival = arrival,
    departure = departure }
  for _, sign in pairs { arrival, departure } do
    extend(found, sign.began)
    -- one that runs on there ends with what comes next
    if sign.ended < sign.began + NEAR_S then extend(found, sign.ended) end
  end
  return found
end

-- ---- all together ----

-- Lines of a log without zones are local times: by how many seconds, where Nova's time and QEMU's are of one
-- failure.
local function zone_between(nova, qemu)
  local apart = nova - qemu
  local quarter = math.floor(apart / 900 + 0.5) * 900
  return math.abs(quarter) <= 14 * 3600 and math.abs(apart - quarter) < 240 and quarter or nil
end

---What is asked of all hosts at first: the lines that name it.
---@param known table  {subject, uuid, name, request}
---@param request table
---@return table query
function attempt.look(known, request)
  local needles = {}
  for _, key in ipairs { "subject", "uuid", "name", "request" } do
    if known[key] then needles[#needles + 1] = known[key] end
  end
  local sets = lines.sets(known.name or known.subject, nil)
  for _, set in ipairs(sets) do
    if set.name ~= "own" then set.words = {} end
  end
  -- the system's logs name no request
  sets[#sets], sets[#sets - 1] = nil, nil
  return { folders = request.folders, sets = sets, needles = needles, last = true, since = request.since,
    ["until"] = request["until"], zone = request.offline and 0 or nil }
end

---Reads what the hosts answered. more: something was learnt that makes it worth while to look again.
---@param known table
---@param answers table  {host → {lines, files}}
---@param request table
---@return table|nil found  {began, ended, source, dest, request, requests, zones}
---@return boolean more
function attempt.find(known, answers, request)
  if learn_names(known, answers) then return nil, true end
  local had_uuid = known.uuid
  local by_nova, by_qemu = last_request(known, answers), last_move(answers)
  if known.uuid ~= had_uuid then return nil, true end
  local zones, found = {}, nil
  if by_nova and by_qemu and request.offline then
    local zone = zone_between(by_nova.ended, by_qemu.ended) or 0
    for host in pairs(answers) do zones[host] = zone end
    by_nova.began, by_nova.ended = by_nova.began - zone, by_nova.ended - zone
  end
  if by_nova and by_qemu and math.abs(by_nova.began - by_qemu.began) > NEAR_S
    and math.abs(by_nova.ended - by_qemu.ended) > NEAR_S then
    if by_nova.began > by_qemu.began or known.request then by_qemu = nil else by_nova = nil end
  end
  if by_qemu then
    found = { source = by_qemu.source, dest = by_qemu.dest, arrival = by_qemu.arrival,
      departure = by_qemu.departure }
    extend(found, by_qemu.began)
    extend(found, by_qemu.ended)
  end
  if by_nova then
    found = found or {}
    extend(found, by_nova.began)
    extend(found, by_nova.ended)
    found.request = by_nova.id
  end
  if found then found.zones = zones end
  return found, false
end

return attempt
