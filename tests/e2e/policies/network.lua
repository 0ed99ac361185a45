-- SPDX-License-Identifier: MIT
-- A move after which the guest's network is proven; into a bridge of another name, where the test says so.
local fixup   = require "migrun.fixup"
local listen  = require "migrun.listen"
local network = require "migrun.network"

local function to_bridge(run)
  local change = listen.to_destination(run)
  local places = { "devices/interface/source/@bridge", table.unpack(change.changes) }
  return { changes = places, apply = function(document)
    change.apply(document)
    document:set("devices/interface/source/@bridge", run.params.bridge)
  end }
end

return {
  api     = 1,
  summary = "Migrate, and prove the guest's network",
  params  = { bridge = { type = "string", default = "br-lab", help = "the destination's bridge" } },
  steps   = {
    network.watch,
    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = to_bridge(run) }) end },
    fixup.own_instance_files,
    fixup.network_answers,
  },
}
