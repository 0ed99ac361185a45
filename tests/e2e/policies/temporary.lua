-- SPDX-License-Identifier: MIT
-- Things for the time of the move: a service stopped, a file, and an alarm silenced by a command, which the
-- step itself switches on again. -p fail=true fails before the migration, -p broken=true in that.
local fixup  = require "migrun.fixup"
local listen = require "migrun.listen"

local function log(host, text) host:command { "sh", "-c", "echo " .. text .. " >>/run/e2e-alarm" } end

return {
  api     = 1,
  summary = "Move a guest while an alarm is silent",
  params  = {
    fail   = { type = "boolean", default = false, help = "fail before the migration" },
    broken = { type = "boolean", default = false, help = "the alarm cannot be switched on again" },
  },

  steps = {
    { "maintenance", phase = "prepare", temporary = true,
      run = function(run)
        run.dest:service("e2e-running"):stop()
        run.dest:write("/run/e2e-maintenance", "a guest comes\n")
        log(run.dest, "silent")
      end,
      undo = function(run)
        if run.params.broken then error("the alarm's server is away", 0) end
        log(run.dest, "loud")
      end },

    { "the last straw", phase = "prepare",
      when = function(run) return run.params.fail end,
      run  = function() error("the moon is full", 0) end },

    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },

    fixup.own_instance_files,
  },
}
