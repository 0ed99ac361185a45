-- SPDX-License-Identifier: MIT
-- A site's own procedure: like policies/libvirt.lua, with one more check, and a note on the destination for
-- the time of the move. checks.lua is beside it; tests/drain.lua tests the check without any host. To empty a
-- host, run it for each of its guests:
--   for guest in $(ssh compute-1 virsh list --name); do migrun drain.lua "$guest" compute-2 || break; done
local check  = require "migrun.check"
local fixup  = require "migrun.fixup"
local listen = require "migrun.listen"
local checks = require "checks"

local NOTE = "/run/migrun-drain"

return {
  api     = 1,
  summary = "Move one guest off a host that is being emptied for maintenance",
  params  = {
    reason = { type = "string", default = "maintenance", help = "written into the note on the destination" },
  },

  steps = {
    check.guest_is_running,
    check.guest_is_not_on_destination,
    check.cpu_is_compatible,
    check.memory_fits,
    checks.destination_keeps_a_reserve(10),

    { "leave a note", phase = "prepare", temporary = true,
      run = function(run)
        run.dest:write(NOTE, ("%s comes from %s: %s\n")
          :format(run.instance.name, run.source.name, run.params.reason))
        return NOTE .. " on " .. run.dest.name
      end },

    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },

    fixup.own_instance_files,
  },
}
