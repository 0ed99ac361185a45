-- SPDX-License-Identifier: MIT
-- Migrates the guest with its XML as it is.
local check = require "migrun.check"
local fixup = require "migrun.fixup"

return {
  api     = 1,
  summary = "Migrate a guest as it is",
  steps   = {
    check.guest_is_running,
    { "the guest", phase = "migrate", run = function(run) run.instance:migrate(run.dest) end },
    fixup.own_instance_files,
  },
}
