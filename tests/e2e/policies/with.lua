-- SPDX-License-Identifier: MIT
-- A move with libvirt's own flags and parameters, and a change of the guest's XML: it asks nothing.
local fixup = require "migrun.fixup"
local listen = require "migrun.listen"

-- "a=1;b=x": {a = 1, b = "x"}
local function parameters(text)
  local params = {}
  for name, value in text:gmatch "([%w_.]+)=([^;]*)" do params[name] = tonumber(value) or value end
  return params
end

local function xml(run)
  local addresses, place, value = listen.to_destination(run), run.params.change:match "^(.*)=([^=]*)$"
  local changes = { table.unpack(addresses.changes) }
  changes[#changes + 1] = place
  return { changes = changes, apply = function(document)
    addresses.apply(document)
    if place then document:set(place, value) end
  end }
end

return {
  api     = 1,
  summary = "Move a guest with these flags and parameters",
  params  = {
    flags  = { type = "string", default = "", help = "POSTCOPY,-UNDEFINE_SOURCE" },
    with   = { type = "string", default = "", help = "NAME=VALUE;…" },
    change = { type = "string", default = "", help = "XPATH=VALUE, in the destination's XML" },
  },
  steps   = {
    { "the guest", phase = "migrate",
      run = function(run)
        local flags = {}
        for flag in run.params.flags:gmatch "[^,]+" do flags[#flags + 1] = flag end
        run.instance:migrate(run.dest,
          { flags = flags, params = parameters(run.params.with), xml = xml(run) })
      end },
    fixup.own_instance_files,
  },
}
