-- SPDX-License-Identifier: MIT
-- libvirt's own record of a running guest, the status XML, and of its definition: what may be changed in them
-- while libvirtd is stopped (service:while_stopped). Each function gives a change for edit_xml, which says
-- beforehand what it touches.
local listen = require "migrun.listen"

local status = {}

local FLAGS = "qemuCaps/flag"

---Whether a running guest's record holds a capability flag of QEMU.
---@param run Run
---@param flag string
---@return boolean
function status.has_flag(run, flag)
  local text = run.source:read(run.instance:status_file())
  return text:find(("<flag name='%s'/>"):format(flag), 1, true) ~= nil
end

local function foreign(run) return listen.foreign(run.instance:xml(), run.source, run.dest) end

---The addresses that the guest listens on and that only its source has (a run without destination: that its
---host has).
---@param run Run
---@return string[]
function status.bound(run)
  local addresses = {}
  for i, entry in ipairs(foreign(run)) do addresses[i] = entry.address end
  return addresses
end

-- What serves every host in the place of each of them.
local function on_all(run)
  local replacements = {}
  for _, entry in ipairs(foreign(run)) do replacements[entry.address] = entry.everywhere end
  return replacements
end

---The change of a status XML: the guest listens on every address instead of those that only its source has,
---and capability flags are taken away. Never the destination's address: after a move that fails the guest
---would have one that its host has not.
---@param run Run
---@param options {flags: string[]|nil}|nil
---@return {changes: string[], apply: fun(document: Document)}
function status.ready_to_move(run, options)
  local replacements, flags = on_all(run), options and options.flags or {}
  local changes = { FLAGS } -- in a status XML the guest's own is the element domain
  for _, place in ipairs(listen.places) do changes[#changes + 1] = "domain/" .. place end
  return {
    changes = changes,
    apply = function(document)
      listen.rewrite(document, replacements)
      for _, flag in ipairs(flags) do document:remove(("%s[@name='%s']"):format(FLAGS, flag)) end
    end,
  }
end

---The same change of the guest's definition, which goes with it: its next start must not need the source's
---address.
---@param run Run
---@return {changes: string[], apply: fun(document: Document)}
function status.ready_to_start_elsewhere(run)
  local replacements = on_all(run)
  return { changes = listen.places, apply = function(document) listen.rewrite(document, replacements) end }
end

return status
