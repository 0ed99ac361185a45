-- SPDX-License-Identifier: MIT
-- A step whose own undo cannot do it.
local fixup  = require "migrun.fixup"
local listen = require "migrun.listen"

return {
  api     = 1,
  summary = "Move a guest, with an alarm silenced that cannot be switched on again",

  steps = {
    { "silence", phase = "prepare", temporary = true,
      run  = function(run) run.dest:command { "touch", "/run/silence" } end,
      undo = function() error("the alarms' server is away", 0) end },

    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },

    fixup.own_instance_files,
  },
}
