-- SPDX-License-Identifier: MIT
-- The guest as it is to be on the destination: its XML with what is called otherwise there. Two things change
-- on the way: addresses that the source alone has (migrun.listen), and what the site's `maps` name for that
-- host. Checks ask the destination about this XML, not about the source's.
local listen = require "migrun.listen"
local ranges = require "migrun.ranges"

local destination = {}

-- Where libvirt's domain XML holds what a map of each kind renames. Only parts of the host: nothing of it can
-- be seen by the guest (https://libvirt.org/formatdomain.html).
local places = {
  bridge  = { "devices/interface[@type='bridge']/source/@bridge" },
  network = { "devices/interface/source/@network" },
  device  = { "devices/interface[@type='direct']/source/@dev" },
  path    = {
    "devices/disk/source/@file", "devices/disk/source/@dev", "os/nvram", "os/nvram/source/@file", "os/loader",
    "os/nvram/@template", "os/kernel", "os/initrd", "devices/interface[@type='vhostuser']/source/@path",
    "devices/serial[@type='file']/source/@path", "devices/console[@type='file']/source/@path",
    "devices/channel/source/@path",
  },
  cpu     = {
    "vcpu/@cpuset", "cputune/vcpupin/@cpuset", "cputune/emulatorpin/@cpuset", "cputune/iothreadpin/@cpuset",
  },
  node    = { "numatune/memory/@nodeset", "numatune/memnode/@nodeset" },
}

-- A path below a folder that the map names lies below the other one there; the longest such folder counts.
local function mapped_path(value, map)
  local best
  for from in pairs(map) do
    local inside = value == from or value:sub(1, #from + 1) == from .. "/"
    if inside and (not best or #from > #best) then best = from end
  end
  return best and map[best] .. value:sub(#best + 1) or value
end

-- CPUs (or nodes) one by one: the first of "0-3" becomes the first of "8-11".
local function mapped_numbers(value, map)
  local numbers, renamed = ranges.parse(value), {}
  if not numbers then return value end
  for from, to in pairs(map) do
    local sources, targets = ranges.parse(from), ranges.parse(to)
    if not sources or not targets or #sources ~= #targets then
      error(("maps in the site file: %s and %s are not as many CPUs or nodes"):format(from, to), 0)
    end
    for i, number in ipairs(sources) do renamed[number] = targets[i] end
  end
  for i, number in ipairs(numbers) do numbers[i] = renamed[number] or number end
  return ranges.text(numbers)
end

local function mapped(kind, value, map)
  if kind == "path" then return mapped_path(value, map) end
  if kind == "cpu" or kind == "node" then return mapped_numbers(value, map) end
  return map[value] or value
end

---What the site calls otherwise on the destination: {bridge = {["br-a"] = "br-b"}, …}.
---@param run Run
---@return table<string, table<string, string>>
function destination.maps(run)
  local all = run.site and run.site.maps or {}
  return run.dest and all[run.dest.name] or {}
end

---What of the guest's XML these maps rename: {"br-a → br-b", …}.
---@param run Run
---@return string[]
function destination.renamed(run)
  local texts, seen, document = {}, {}, run.instance:xml()
  for kind, map in pairs(destination.maps(run)) do
    for _, place in ipairs(places[kind] or {}) do
      for _, value in ipairs(document:find(place)) do
        local other = mapped(kind, value, map)
        if other ~= value and not seen[value] then texts[#texts + 1] = ("%s → %s"):format(value, other) end
        seen[value] = true
      end
    end
  end
  table.sort(texts)
  return texts
end

-- element[@name='value'], or element[.='value'] for an element's own text; nil where XPath cannot quote it.
local function only(place, value)
  local quote = not value:find("'", 1, true) and "'" or not value:find('"', 1, true) and '"'
  if not quote then return nil end
  local element, attribute = place:match("^(.*)/@([%w_]+)$")
  if not element then return ("%s[.=%s%s%s]"):format(place, quote, value, quote) end
  return ("%s[@%s=%s%s%s]/@%s"):format(element, attribute, quote, value, quote, attribute)
end

-- A character of private use, which no name has.
local MARK = "\u{E000}"

local function rename(document, kind, map)
  for _, place in ipairs(places[kind]) do
    local renamed, done = {}, {}
    for _, value in ipairs(document:find(place)) do renamed[value] = mapped(kind, value, map) end
    -- All at once: what one of them becomes may be what another one was.
    for value, other in pairs(renamed) do
      local at = value ~= other and only(place, value)
      if at then
        document:set(at, MARK .. other)
        done[MARK .. other] = other
      end
    end
    for marked, other in pairs(done) do document:set(only(place, marked), other) end
  end
end

---The change of XML that the guest needs there (migrate's xml): addresses that the source alone has become
---the
---destination's own, and what the site maps is renamed.
---@param run Run
---@return {changes: string[], apply: fun(document: Document)}
function destination.xml(run)
  local addresses, maps = listen.to_destination(run), destination.maps(run)
  local changes = { table.unpack(addresses.changes) }
  for kind in pairs(maps) do
    for _, place in ipairs(places[kind] or {}) do changes[#changes + 1] = place end
  end
  return {
    changes = changes,
    apply = function(document)
      addresses.apply(document)
      for kind, map in pairs(maps) do
        if places[kind] then rename(document, kind, map) end
      end
    end,
  }
end

local documents = setmetatable({}, { __mode = "k" }) -- by host

---The guest's XML as the destination will get it.
---@param run Run
---@return Document
function destination.document(run)
  if not documents[run.dest] then
    local document = run.instance:xml()
    destination.xml(run).apply(document)
    documents[run.dest] = document
  end
  return documents[run.dest]
end

return destination
