-- SPDX-License-Identifier: MIT
-- Whether the two hosts' versions are a pair that is known to be bad for this guest (migrun.known_bad, and
-- the site's own).
local common = require "migrun.check.common"
local known_bad = require "migrun.known_bad"

local check = {}

-- What a host has of each program; nil: not known.
local function versions_of(host)
  local facts = host.facts
  return { libvirt = facts.libvirt.libvirt, qemu = facts.libvirt.hypervisor, kernel = facts.kernel,
    gnutls = facts.gnutls }
end

local function holds(version, condition)
  for sign, wanted in condition:gmatch("([<>]=?)%s*(%d[%d.]*)") do
    local at_least, same = common.at_least(version, wanted), common.at_least(version, wanted)
      and common.at_least(wanted, version)
    local ok
    if sign == ">=" then ok = at_least elseif sign == ">" then ok = at_least and not same
    elseif sign == "<" then ok = not at_least else ok = not at_least or same end
    if not ok then return false end
  end
  return true
end

-- Of a version that is not known nothing is said.
local function meets(host, conditions)
  local versions = versions_of(host)
  for program, condition in pairs(conditions or {}) do
    if not versions[program] or not holds(versions[program], condition) then return false end
  end
  return true
end

local programs = { libvirt = true, qemu = true, kernel = true, gnutls = true }
local fields = { says = true, source = true, dest = true, either = true, guest = true, param = true,
  also = true,
  action = true, remedy = true, by = true }

-- A site's entry that says nothing that could be understood is told of, rather than left out.
local function validate(entry, number)
  local where = ("known_bad[%d] in the site file"):format(number)
  for name in pairs(entry) do
    if not fields[name] then error(("%s: unknown key '%s'"):format(where, name), 0) end
  end
  if type(entry.says) ~= "string" then error(("%s: 'says' is the sentence that is told"):format(where), 0) end
  if entry.action ~= "refuse" and entry.action ~= "warn" then
    error(("%s: 'action' is \"refuse\" or \"warn\""):format(where), 0)
  end
  if not (entry.source or entry.dest or entry.either) then
    error(("%s: it names no versions (source, dest, either)"):format(where), 0)
  end
  for _, side in ipairs { "source", "dest", "either" } do
    for program, condition in pairs(entry[side] or {}) do
      if not programs[program] then
        error(("%s: %s.%s is none of libvirt, qemu, kernel, gnutls"):format(where, side, program), 0)
      elseif type(condition) ~= "string" or not condition:find("^%s*[<>]=?%s*%d") then
        error(("%s: %s.%s is a condition as \">=10 <11.10\""):format(where, side, program), 0)
      end
    end
  end
end

local function concerns(run, entry)
  local params = run.params
  return meets(run.source, entry.source) and meets(run.dest, entry.dest)
    and (not entry.either or meets(run.source, entry.either) or meets(run.dest, entry.either))
    and (not entry.param or params[entry.param]) and (not entry.also or params[entry.also])
    and (not entry.guest or common.has(run, entry.guest))
end

local function sentence(run, entry)
  local text = entry.remedy and ("%s: %s"):format(entry.says, entry.remedy) or entry.says
  return (text:gsub("{(%l+)}", { source = run.source.name, dest = run.dest.name }))
end

local function version_text(host)
  local versions = versions_of(host)
  return ("%s: libvirt %s, QEMU %s, Linux %s"):format(host.name, versions.libvirt or "?", versions.qemu
    or "?",
    versions.kernel or "?")
end

check.versions_are_good = common.there("no bad pair of versions", function(run)
  local problems = {}
  local function ask(entry)
    if not concerns(run, entry) then return end
    if entry.action == "refuse" then problems[#problems + 1] = sentence(run, entry)
    else run:warn(sentence(run, entry)) end
  end
  for _, entry in ipairs(known_bad) do ask(entry) end
  for number, entry in ipairs(run.site and run.site.known_bad or {}) do
    validate(entry, number)
    ask(entry)
  end
  common.refuse_all(run, problems)
  return ("%s; %s"):format(version_text(run.source), version_text(run.dest))
end, { topic = "versions" })

return check
