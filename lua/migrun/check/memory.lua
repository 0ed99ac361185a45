-- SPDX-License-Identifier: MIT
-- Of the memory and the CPUs that the guest takes there: room for it, huge pages of its size, and the CPUs
-- and NUMA nodes that it is pinned to.
local common = require "migrun.check.common"
local destination = require "migrun.destination"
local ranges = require "migrun.ranges"
local xml = require "migrun.xml"
local size = common.size

local check = {}

-- ---- huge pages ----

-- The guest's own NUMA cells with their sizes; without any, all its memory as the cell 0.
local function cells_of(run, document)
  local cells = {}
  for i, fragment in ipairs(document:fragments("cpu/numa/cell")) do
    local cell = xml.parse(fragment)
    cells[i] = { id = math.tointeger(tonumber(cell:get("@id"))) or i - 1,
      bytes = common.bytes(cell:get("@memory"), cell:get("@unit")) or 0 }
  end
  if #cells == 0 then cells[1] = { id = 0, bytes = run.instance.facts.max_memory } end
  return cells
end

-- Size of the huge pages that a cell is made of: by the page that names it, else by the one that names none;
-- nil and false where it has no huge pages, nil and true for the default size.
local function page_of(document, cell)
  local pages = document:fragments("memoryBacking/hugepages/page")
  if #pages == 0 then return nil, #document:fragments("memoryBacking/hugepages") > 0 end
  local general
  for _, fragment in ipairs(pages) do
    local page = xml.parse(fragment)
    local bytes, nodes = common.bytes(page:get("@size"), page:get("@unit")), page:get("@nodeset")
    if nodes and common.contains(ranges.parse(nodes), cell.id) then return bytes, true end
    general = general or not nodes and bytes
  end
  return general or nil, general ~= nil and general ~= false
end

-- The host's nodes that a cell's memory must come from; nil: from any.
local function strict_nodes(document, cell)
  local own = document:fragments(("numatune/memnode[@cellid='%d'][@mode='strict']"):format(cell.id))[1]
  local place = own and xml.parse(own) or document
  local set = own and place:get("@nodeset")
    or not own and #document:fragments(("numatune/memnode[@cellid='%d']"):format(cell.id)) == 0
    and document:get("numatune/memory[@mode='strict']/@nodeset")
  return set and ranges.parse(set) or nil
end

local function pool(pools, bytes)
  for _, entry in ipairs(pools or {}) do
    if entry.size == bytes then return entry end
  end
end

-- Bytes that are free in pages of a size, on some of the host's nodes or on all.
local function free_in(host, bytes, nodes)
  local free = 0
  if not nodes then
    local entry = pool(host.facts.memory.hugepages, bytes)
    if entry then return entry.free * bytes end
    local memory = host.facts.memory
    return bytes == memory.hugepage_size and (memory.hugepages_free or 0) * bytes or 0
  end
  for _, node in ipairs(host.facts.nodes or {}) do
    local entry = common.contains(nodes, node.node) and pool(node.hugepages, bytes)
    if entry then free = free + entry.free * bytes end
  end
  return free
end

-- What is needed of each size and set of nodes: {bytes, page, nodes}, …; and of ordinary memory.
local function needs_of(run, document)
  local needs, by_key, ordinary = {}, {}, 0
  for _, cell in ipairs(cells_of(run, document)) do
    local page, huge = page_of(document, cell)
    if huge then
      page = page or run.dest.facts.memory.hugepage_size or 0
      local nodes = strict_nodes(document, cell)
      local key = ("%d %s"):format(page, nodes and ranges.text(nodes) or "")
      if not by_key[key] then
        by_key[key] = { bytes = 0, page = page, nodes = nodes }
        needs[#needs + 1] = by_key[key]
      end
      by_key[key].bytes = by_key[key].bytes + cell.bytes
    else
      ordinary = ordinary + cell.bytes
    end
  end
  return needs, ordinary
end

local function place_text(run, need)
  return need.nodes and ("node %s of %s"):format(ranges.text(need.nodes), run.dest.name) or run.dest.name
end

check.memory_fits = common.there("memory fits", function(run)
  local memory, dest = run.dest.facts.memory, run.dest
  local needs, ordinary = needs_of(run, destination.document(run))
  local seen, problems = {}, {}
  for _, need in ipairs(needs) do
    local free = free_in(dest, need.page, need.nodes)
    local text = ("needs %s in huge pages of %s, %s free on %s"):format(size(need.bytes), size(need.page),
      size(free), place_text(run, need))
    table.insert(free < need.bytes and problems or seen, text)
  end
  if ordinary > 0 and memory.available < ordinary then
    problems[#problems + 1] = ("needs %s, %s available of %s on %s"):format(size(ordinary),
      size(memory.available), size(memory.total), dest.name)
  elseif ordinary > 0 then
    seen[#seen + 1] = ("needs %s, %s free on %s"):format(size(ordinary), size(memory.available), dest.name)
  end
  common.refuse_all(run, problems)
  return table.concat(seen, "; ")
end, { topic = "memory" })

-- ---- pins ----

-- Which CPUs libvirt may give to guests there, as a list: by the cgroup of machine.slice, or where its
-- cgroups are switched off by what libvirtd itself may use.
local function cpus_for_guests(host)
  local cpu, groups = host.facts.cpu, (host.facts.libvirt.conf or {}).cgroup_controllers
  local list = groups and #groups == 0 and cpu.libvirtd or cpu.machines or cpu.online
  return list, list and ranges.parse(list)
end

local pins = {
  { "vcpu/@cpuset", "vcpu" }, { "cputune/vcpupin/@cpuset", "vcpupin" },
  { "cputune/emulatorpin/@cpuset", "emulatorpin" }, { "cputune/iothreadpin/@cpuset", "iothreadpin" },
}
local node_sets = { { "numatune/memory/@nodeset", "numatune" }, { "numatune/memnode/@nodeset", "memnode" } }

local function lacking(document, places, has, kind, problems)
  local wanted = {}
  for _, place in ipairs(places) do
    for _, text in ipairs(document:find(place[1])) do
      local numbers = ranges.parse(text)
      local missing = numbers and ranges.missing(numbers, has) or {}
      if #missing > 0 then
        problems[#problems + 1] = ("%s asks for %s %s (%s)"):format(place[2], kind, text,
          #missing == #numbers and "none of them is there" or ("without %s"):format(ranges.text(missing)))
      end
      wanted[#wanted + 1] = text
    end
  end
  return wanted
end

local function nodes_of(host)
  local numbers = {}
  for i, node in ipairs(host.facts.nodes or {}) do numbers[i] = node.node end
  return numbers
end

check.pins_exist = common.there("pinned to what is there", function(run)
  local document, dest, problems = destination.document(run), run.dest, {}
  local list, cpus = cpus_for_guests(dest)
  if not cpus then run:refuse(("which CPUs of %s guests may use is not known"):format(dest.name)) end
  local nodes = nodes_of(dest)
  local on_cpus = lacking(document, pins, cpus, "CPU", problems)
  local on_nodes = lacking(document, node_sets, nodes, "NUMA node", problems)
  if #problems > 0 then
    run:refuse(("%s; guests on %s have the CPUs %s and the NUMA nodes %s: map them (maps in the site file), "
      .. "or "
      .. "change the pins (virsh vcpupin, emulatorpin, numatune)"):format(table.concat(problems, "; "),
      dest.name, list, ranges.text(nodes)))
  end
  local seen = {}
  if #on_cpus > 0 then seen[1] = ("CPUs %s of %s there"):format(table.concat(on_cpus, ", "), list) end
  if #on_nodes > 0 then
    seen[#seen + 1] = ("NUMA node %s of %s there"):format(table.concat(on_nodes, ", "), ranges.text(nodes))
  end
  return table.concat(seen, "; ")
end, { topic = "pins", when = function(run)
  for _, places in ipairs { pins, node_sets } do
    for _, place in ipairs(places) do
      if #run.instance:xml():find(place[1]) > 0 then return true end
    end
  end
  return false
end })

return check
