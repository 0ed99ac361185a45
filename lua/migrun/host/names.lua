-- SPDX-License-Identifier: MIT
-- Names: the hosts of a run find each other by them, and none takes its own for the loopback, as libvirt
-- tells the other side its own name.
local common = require "migrun.check.common"

local contains = common.contains
local names = {}

local FILE = "/etc/hosts"
local ANY_PORT = 22

---A host's name as it stands in a URI: an IPv6 address in brackets.
---@param name string
---@return string
function names.in_uri(name)
  return name:find(":", 1, true) and ("[%s]"):format((name:gsub("%%", "%%25"))) or name
end

---The address that a name has on a host, or nil.
---@param host Host
---@param name string
---@return string|nil
function names.address_on(host, name)
  local ok, answer = pcall(host.reach, host, name, ANY_PORT, 1)
  return ok and answer.address or nil
end

local function is_loopback(address) return address:find("^127%.") ~= nil or address == "::1" end

-- Every name by which a host is called: as the site names it, as Nova does (its host name), and as its
-- libvirtd tells the other side.
local function names_of(host)
  local list = { host.name }
  for _, name in ipairs { host.facts.hostname or host.name,
    host.facts.libvirt and host.facts.libvirt.hostname or host.name } do
    if not contains(list, name) and not name:find("^localhost") then list[#list + 1] = name end
  end
  return list
end

---The address of a host by which the others reach it, or else this machine.
---@param run Run
---@param host Host
---@return string|nil
function names.address(run, host)
  for _, other in ipairs(run.hosts) do
    local address = other ~= host and names.address_on(other, host.name)
    if address and contains(host.facts.addresses, address) then return address end
  end
  local address = names.address_on(run.here, host.name)
  return address and contains(host.facts.addresses, address) and address or host.facts.addresses[1]
end

---Names that do not lead where they should: {host: where, of: whose, name, address: what it is there, or
---nil}.
---@param run Run
---@return table[]
function names.wrong(run)
  local wrong = {}
  for _, host in ipairs(run.hosts) do
    for _, other in ipairs(run.hosts) do
      for _, name in ipairs(names_of(other)) do
        local address = names.address_on(host, name)
        if not address or is_loopback(address) or not contains(other.facts.addresses, address) then
          wrong[#wrong + 1] = { host = host, of = other, name = name, address = address }
        end
      end
    end
  end
  return wrong
end

---A wrong name as a sentence.
function names.text(entry)
  local is = entry.address and "is " .. entry.address or "is not known"
  return ("%s %s on %s"):format(entry.name, is, entry.host.name)
end

-- A line of the file without a name; nil where no name is left of it.
local function line_without(line, name)
  local head, rest, comment = line:match("^(%s*%S+)([^#]*)(.*)$")
  if not head or head:find("^%s*#") then return line end
  local kept, found = {}, false
  for word in rest:gmatch("%S+") do
    if word == name then found = true else kept[#kept + 1] = word end
  end
  if not found then return line end
  if #kept == 0 then return nil end
  return head:match("%S+") .. "\t" .. table.concat(kept, " ") .. (comment ~= "" and " " .. comment or "")
end

---The text of /etc/hosts in which a name is an address, and nothing else.
---@param text string
---@param name string
---@param address string
---@return string
function names.with(text, name, address)
  local lines, has = {}, false
  for line, last in text:gmatch("([^\n]*)(\n?)") do
    if line == "" and last == "" then break end
    local plain = line:gsub("\r$", "")
    local own = plain:match("^%s*(%S+)%s") == address
    local new = own and plain or line_without(plain, name)
    local words = " " .. plain:gsub("#.*", ""):gsub("%s", " ") .. " "
    has = has or (own and words:find(" " .. name .. " ", 1, true) ~= nil)
    if new then lines[#lines + 1] = (new == plain and line or new) .. last end
  end
  local result = table.concat(lines)
  if has then return result end
  local join = (result == "" or result:find("\n$")) and "" or "\n"
  return result .. join .. address .. "\t" .. name .. "\n"
end

---Puts right on every host what is wrong there, in /etc/hosts.
---@param run Run
---@return string[]  what was put right
function names.mend(run)
  local mended = {}
  for _, entry in ipairs(names.wrong(run)) do
    local address = names.address(run, entry.of)
    entry.host:edit(FILE, function(text) return names.with(text or "", entry.name, address) end)
    mended[#mended + 1] = ("%s → %s on %s"):format(entry.name, address, entry.host.name)
  end
  return mended
end

return names
