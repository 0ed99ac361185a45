-- SPDX-License-Identifier: MIT
-- Fails where a preview sees it as well: before the move, or in a fix-up.
local listen = require "migrun.listen"

return {
  api     = 1,
  summary = "Stop on the way",
  params  = { way = { type = "string", default = "prepare", help = "prepare or fixup" } },
  steps   = {
    { "a note", phase = "prepare", run = function(run) run.dest:write("/etc/e2e/note", "moving\n") end },
    { "stop", phase = "prepare", when = function(run) return run.params.way == "prepare" end,
      run = function(run) run.source:read("/nowhere/at/all") end },
    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },
    { "a fix-up that fails", phase = "fixup", when = function(run) return run.params.way == "fixup" end,
      run = function(run) run.source:read("/nowhere/at/all") end },
  },
}
