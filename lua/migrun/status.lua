-- SPDX-License-Identifier: MIT
-- libvirt's own record of a running guest, the status XML, and of its definition: what may be changed in them
-- while libvirtd is stopped (service:while_stopped). Each function gives a change for edit_xml, which says
-- beforehand what it touches.
local listen = require "migrun.listen"

local status = {}

local FLAGS = "qemuCaps/flag"

-- Where listen addresses stand: in a status XML the guest's own is the element domain, in a definition it is
-- the root.
local function places(prefix)
  local list = {}
  for i, place in ipairs(listen.places) do list[i] = prefix .. place end
  return list
end

local function set_addresses(document, prefix, sources, address)
  for _, place in ipairs(places(prefix)) do
    local element, attribute = place:match("^(.*)/@(%w+)$")
    for _, source in ipairs(sources) do
      document:set(("%s[@%s='%s']/@%s"):format(element, attribute, source, attribute), address)
    end
  end
end

---Whether a running guest's record holds a capability flag of QEMU.
---@param run Run
---@param flag string
---@return boolean
function status.has_flag(run, flag)
  local text = run.source:read(run.instance:status_file())
  return text:find(("<flag name='%s'/>"):format(flag), 1, true) ~= nil
end

---The addresses that the guest listens on and that only its source has (a run without destination: that its
---host has).
---@param run Run
---@return string[]
function status.bound(run)
  local addresses = {}
  for _, entry in ipairs(
    listen.foreign(run.instance:xml(), run.source.facts.addresses, run.dest and run.dest.facts.addresses
    or {})) do
    addresses[#addresses + 1] = entry.address
  end
  return addresses
end

---The change of a status XML: the guest listens on every address instead of those that only its source has,
---and capability flags are taken away. Never the destination's address: after a move that fails the guest
---would have one that its host has not.
---@param run Run
---@param options {flags: string[]|nil}
---@return {changes: string[], apply: fun(document: Document)}
function status.ready_to_move(run, options)
  local bound, flags = status.bound(run), options and options.flags or {}
  local changes = places "domain/"
  changes[#changes + 1] = FLAGS
  return {
    changes = changes,
    apply = function(document)
      set_addresses(document, "domain/", bound, "0.0.0.0")
      for _, flag in ipairs(flags) do document:remove(("%s[@name='%s']"):format(FLAGS, flag)) end
    end,
  }
end

---The same change of the guest's definition, which goes with it: its next start must not need the source's
---address.
---@param run Run
---@return {changes: string[], apply: fun(document: Document)}
function status.ready_to_start_elsewhere(run)
  local bound = status.bound(run)
  return { changes = places "", apply = function(document) set_addresses(document, "", bound, "0.0.0.0") end }
end

return status
