-- SPDX-License-Identifier: MIT
-- A site's own procedure: as policies/libvirt.lua, and it asks one thing more and leaves a note on the destination while it works.
-- checks.lua lies beside it; tests/drain.lua tests the check without any host.
local check  = require "migrun.check"
local fixup  = require "migrun.fixup"
local listen = require "migrun.listen"
local checks = require "checks"

local NOTE = "/run/migrun-drain"

return {
  api     = 1,
  summary = "Empty a host for maintenance, one guest at a time",
  params  = { reason = { type = "string", default = "maintenance", help = "why, for the note on the destination" } },

  steps = {
    check.guest_is_running,
    check.guest_is_not_on_destination,
    check.cpu_is_compatible,
    check.memory_fits,
    checks.destination_keeps_a_reserve(10),

    { "leave a note", phase = "prepare",
      run = function(run)
        run.dest:write(NOTE, ("%s comes from %s: %s\n"):format(run.instance.name, run.source.name, run.params.reason))
        return NOTE .. " on " .. run.dest.name
      end },

    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },

    fixup.own_instance_files,

    { "take the note away", phase = "fixup",
      run = function(run)
        if not run.dest:stat(NOTE) then return "it is gone already" end
        run.dest:remove(NOTE)
      end },
  },
}
