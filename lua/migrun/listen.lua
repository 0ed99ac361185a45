-- SPDX-License-Identifier: MIT
-- Addresses that a guest listens on: graphics (VNC, SPICE), serial ports, network cards made of sockets. One
-- that belongs to the source alone makes QEMU on the destination fail to start (Failed to bind socket: Cannot
-- assign requested address); Nova, too, gives the guest the destination's own address then, not 0.0.0.0, so
-- that it is no more open than before.
local names = require "migrun.host.names"

local listen = {}

-- Where libvirt's domain XML holds such an address (https://libvirt.org/formatdomain.html). What stands
-- beside a <listen type='network'> is that network's own here: there libvirt takes its own, whatever the XML
-- says.
listen.places = {
  "devices/graphics[not(listen/@type='network')]/@listen",
  "devices/graphics/listen[@type='address']/@address",
  "devices/serial/source[@mode='bind']/@host",
  "devices/console/source[@mode='bind']/@host",
  "devices/parallel/source[@mode='bind']/@host",
  "devices/channel/source[@mode='bind']/@host",
  "devices/rng/backend/source[@mode='bind']/@host",
  "devices/redirdev/source[@mode='bind']/@host",
  "devices/smartcard/source[@mode='bind']/@host",
  "devices/interface[@type='server']/source/@address",
  "devices/interface[@type='udp']/source/local/@address",
  "devices/interface/portForward/@address",
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

-- ---- addresses ----

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
    if not address:find("^%d+%.%d+%.%d+%.%d+$") then return nil end
    for group in address:gmatch("%d+") do groups[#groups + 1] = tonumber(group) end
  end
  local text = {}
  for _, group in ipairs(groups) do
    for bit = size - 1, 0, -1 do text[#text + 1] = (group >> bit) & 1 end
  end
  return table.concat(text)
end

local function is_loopback(address) return address:find("^127%.") ~= nil or bits(address) == bits "::1" end

-- Every host has the loopback, and every address is one of its own.
local function is_everywhere(address)
  return is_loopback(address) or bits(address) == bits "0.0.0.0" or bits(address) == bits "::"
end

-- Of one host's network alone: the same is another on each link.
local function is_of_a_link(address)
  return address:find("^169%.254%.") ~= nil or address:lower():find("^fe[89ab]%x:") ~= nil
end

-- A host, or the addresses of one of which nothing else is known.
local function as_host(host)
  return host and host.facts and host or { facts = { addresses = host or {} } }
end

-- What a host has: {address, prefix (nil: not known), passing, named}. One with a whole prefix (/32, /128)
-- or a second one of its network may be with another host tomorrow, as keepalived's; unless the host's name
-- leads to it.
local function addresses_of(host)
  local facts, list, known = host.facts, {}, {}
  local function add(address, prefix, secondary)
    local whole = prefix == #(bits(address) or "")
    local named = contains(facts.own_addresses, address)
    list[#list + 1] = { address = address, prefix = prefix, named = named,
      passing = (whole or secondary or false) and not named }
  end
  for _, interface in ipairs(facts.interfaces or {}) do
    for _, entry in ipairs(interface.addresses or {}) do
      local address = entry.address
      if not known[address] and not is_everywhere(address) and not is_of_a_link(address) then
        known[address] = true
        add(address, entry.prefix, entry.secondary)
      end
    end
  end
  for _, address in ipairs(facts.addresses or {}) do
    if not known[address] then add(address) end
  end
  return list
end

-- The address of that host, as addresses_of has it; nil: it has none such.
local function find(host, address)
  for _, own in ipairs(addresses_of(host)) do
    if bits(own.address) == bits(address) then return own end
  end
end

local function has(host, address) return is_everywhere(address) or find(host, address) ~= nil end

-- What a text that listens is on a host: itself, or the address of that name; nil: it has no such name.
local function address_on(host, text)
  if bits(text) then return text end
  if text == "localhost" then return "127.0.0.1" end
  if text:find("^[%w._-]+$") and host.reach then return names.address_on(host, text) end
end

-- ---- what takes an address's place ----

-- How well an address takes the place of another one: in the same network first, then by the host's name,
-- then by the length of their common beginning.
local function rank(own, wanted)
  local candidate, same = bits(own.address), 0
  while same < #wanted and candidate:byte(same + 1) == wanted:byte(same + 1) do same = same + 1 end
  local together = own.prefix and same >= own.prefix
  return (together and 2000 or 0) + (own.named and 1000 or 0) + math.min(same, own.prefix or same)
end

---A host's own address that takes the place of another host's: in the same network, if it has one there. An
---address that may be with another host tomorrow is taken only if there is no other one, or if the other
---host's is of that kind, too (passing; a VPN's).
---@param host Host|string[]
---@param other string     the other host's address
---@param passing boolean|nil
---@return string|nil
function listen.nearest(host, other, passing)
  local wanted, best, most, is_last_resort = bits(other), nil, nil, nil
  for _, own in ipairs(addresses_of(as_host(host))) do
    local candidate = bits(own.address)
    if wanted and candidate and #candidate == #wanted then
      local value, is_passing = rank(own, wanted), own.passing and not passing
      if not best or is_last_resort and not is_passing or is_last_resort == is_passing and value > most then
        best, most, is_last_resort = own.address, value, is_passing
      end
    end
  end
  return best
end

-- What a text that the guest listens on has to become elsewhere; nil: it can stay.
local function judge(text, source, dest)
  local here = address_on(source, text)
  if not here or not has(source, here) then return nil end
  local there = bits(text) and text or address_on(dest, text)
  if there and has(dest, there) then return nil end
  local own = find(source, here)
  return {
    address = text, devices = {},
    replacement = has(dest, here) and here or listen.nearest(dest, here, own and own.passing),
    everywhere = is_loopback(here) and here or here:find(":", 1, true) and "::" or "0.0.0.0",
  }
end

---Addresses that a guest listens on and that its source has but its destination has not, each with what
---replaces it there (nil: the destination has no address of that family), and what would serve every host. A
---name counts as the address that each host knows by it.
---@param document Document
---@param source Host|string[]     or its addresses
---@param dest Host|string[]|nil
---@return {address: string, replacement: string|nil, everywhere: string, devices: string[]}[]
function listen.foreign(document, source, dest)
  local found, order, prefix = {}, {}, inside(document)
  source, dest = as_host(source), as_host(dest)
  for _, place in ipairs(listen.places) do
    local device = place:match("^devices/(%w+)")
    for _, address in ipairs(document:find(prefix .. place)) do
      if found[address] == nil then
        found[address] = judge(address, source, dest) or false
        if found[address] then order[#order + 1] = found[address] end
      end
      if found[address] then
        local kinds = device ~= "graphics" and { device } or document:find(
          ("%sdevices/graphics[not(listen/@type='network')][@listen='%s' or listen/@address='%s']/@type")
          :format(prefix, address, address))
        for _, kind in ipairs(kinds) do
          if not contains(found[address].devices, kind) then table.insert(found[address].devices, kind) end
        end
      end
    end
  end
  return order
end

---Puts other addresses in the places where a guest listens.
---@param document Document
---@param replacements table<string, string>  what stands there → what is to stand there
function listen.rewrite(document, replacements)
  local prefix = inside(document)
  for _, place in ipairs(listen.places) do
    local element, attribute = place:match("^(.*)/@(%w+)$")
    for from, to in pairs(replacements) do
      document:set(("%s%s[@%s='%s']/@%s"):format(prefix, element, attribute, from, attribute), to)
    end
  end
end

---The change of XML that gives the guest the destination's own address wherever it listens on one that the
---source alone has.
---@param run Run
---@return {changes: string[], apply: fun(document: Document)}
function listen.to_destination(run)
  return {
    changes = listen.places,
    apply = function(document)
      local replacements = {}
      for _, entry in ipairs(listen.foreign(document, run.source, run.dest)) do
        replacements[entry.address] = entry.replacement
      end
      listen.rewrite(document, replacements)
    end,
  }
end

---Refuses a guest's XML on the source (its status XML, or a domain's) that listens on an address which only
---the destination has: when the move fails, the guest cannot be started there again. For the older way;
---0.0.0.0 serves both hosts.
---@param run Run
---@param document Document
function listen.refuse_destination(run, document)
  for _, entry in ipairs(listen.foreign(document, run.dest, run.source)) do
    run:refuse(("%s would listen on %s, which only %s has: after a move that fails the guest could not "
      .. "start on %s again; use 0.0.0.0 (:: for IPv6)")
      :format(table.concat(entry.devices, ", "), entry.address, run.dest.name, run.source.name))
  end
end

return listen
