-- SPDX-License-Identifier: MIT
-- A fix-up that fails, and one after it.
local listen = require "migrun.listen"

return {
  api     = 1,
  summary = "Migrate, and fail to put something right",
  steps   = {
    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },
    { "a fix-up that fails", phase = "fixup",
      run = function(run) run.dest:command { "sh", "-c", "echo 'out of ink' >&2; exit 1" } end },
    { "a note", phase = "fixup",
      run = function(run) run.instance:host():write("/etc/e2e/note", "moved\n") end },
  },
}
