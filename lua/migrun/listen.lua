-- SPDX-License-Identifier: MIT
-- Addresses that a guest listens on: graphics (VNC, SPICE), serial ports and consoles. One that belongs to
-- the source alone makes QEMU on the destination fail to start (Failed to bind socket: Cannot assign
-- requested address); Nova, too, gives the guest the destination's own address then, not 0.0.0.0, so that it
-- is no more open than before.
local listen = {}

-- Where libvirt's domain XML holds such an address (https://libvirt.org/formatdomain.html).
listen.places = {
  "devices/graphics/@listen",
  "devices/graphics/listen/@address",
  "devices/serial/source[@mode='bind']/@host",
  "devices/console/source[@mode='bind']/@host",
  "devices/parallel/source[@mode='bind']/@host",
  "devices/channel/source[@mode='bind']/@host",
}

-- The same in a status XML of libvirt, which holds the guest's below an element of its own.
local function inside(document)
  return document:get("domain/name") and "domain/" or ""
end

local function contains(list, value)
  for _, entry in ipairs(list or {}) do
    if entry == value then return true end
  end
  return false
end

-- The bits of an IPv4 or IPv6 address as a text of 0 and 1; nil for what is none.
local function bits(address)
  local groups, size = {}, 8
  if address:find(":", 1, true) then
    size = 16
    local head, tail = address:match("^(.-)::(.*)$")
    local function add(part, to)
      for group in (part or ""):gmatch("[^:]+") do to[#to + 1] = tonumber(group, 16) or 0 end
    end
    if head then
      local after = {}
      add(head, groups)
      add(tail, after)
      for _ = #groups + #after + 1, 8 do groups[#groups + 1] = 0 end
      for _, group in ipairs(after) do groups[#groups + 1] = group end
    else
      add(address, groups)
    end
  else
    for group in address:gmatch("%d+") do groups[#groups + 1] = tonumber(group) end
    if #groups ~= 4 then return nil end
  end
  local text = {}
  for _, group in ipairs(groups) do
    for bit = size - 1, 0, -1 do text[#text + 1] = (group >> bit) & 1 end
  end
  return table.concat(text)
end

---The address of a host that lies in the same network as one of the other host's: the one with the longest
---common beginning.
---@param addresses string[]  the host's own
---@param other string        the other host's address
---@return string|nil
function listen.nearest(addresses, other)
  local best, length = nil, -1
  local wanted = bits(other)
  for _, address in ipairs(addresses) do
    local candidate = bits(address)
    if wanted and candidate and #candidate == #wanted then
      local same = 0
      while same < #wanted and candidate:byte(same + 1) == wanted:byte(same + 1) do same = same + 1 end
      if same > length then best, length = address, same end
    end
  end
  return best
end

---Addresses that a guest listens on and that its source has but its destination has not, each with what
---replaces it there (nil: the destination has no address of that family).
---@return {address: string, replacement: string|nil, devices: string[]}[]
function listen.foreign(document, source_addresses, dest_addresses)
  local found, order, prefix = {}, {}, inside(document)
  for _, place in ipairs(listen.places) do
    local device = place:match("^devices/(%w+)")
    for _, address in ipairs(document:find(prefix .. place)) do
      local is_foreign = contains(source_addresses, address) and not contains(dest_addresses, address)
      if is_foreign and not found[address] then
        found[address] = { address = address, replacement = listen.nearest(dest_addresses, address),
          devices = {} }
        order[#order + 1] = found[address]
      end
      if found[address] then
        local names = device ~= "graphics" and { device }
          or document:find(("%sdevices/graphics[@listen='%s' or listen/@address='%s']/@type")
          :format(prefix, address, address))
        for _, name in ipairs(names) do
          if not contains(found[address].devices, name) then table.insert(found[address].devices, name) end
        end
      end
    end
  end
  return order
end

---The change of XML that gives the guest the destination's own address wherever it listens on one that the
---source alone has.
---@param run Run
---@return {changes: string[], apply: fun(document: Document)}
function listen.to_destination(run)
  local source, dest = run.source.facts.addresses, run.dest.facts.addresses
  return {
    changes = listen.places,
    apply = function(document)
      for _, entry in ipairs(listen.foreign(document, source, dest)) do
        for _, place in ipairs(listen.places) do
          local element, attribute = place:match("^(.*)/@(%w+)$")
          if entry.replacement then
            document:set(("%s[@%s='%s']/@%s"):format(element, attribute, entry.address, attribute),
              entry.replacement)
          end
        end
      end
    end,
  }
end

---Refuses a guest's XML on the source (its status XML, or a domain's) that listens on an address which only
---the destination has: when the move fails, the guest cannot be started there again. For the older way;
---0.0.0.0 serves both hosts.
---@param run Run
---@param document Document
function listen.refuse_destination(run, document)
  for _, entry in ipairs(listen.foreign(document, run.dest.facts.addresses, run.source.facts.addresses)) do
    run:refuse(("%s would listen on %s, which only %s has: after a move that fails the guest could not "
      .. "start on %s again; use 0.0.0.0 (:: for IPv6)")
      :format(table.concat(entry.devices, ", "), entry.address, run.dest.name, run.source.name))
  end
end

return listen
