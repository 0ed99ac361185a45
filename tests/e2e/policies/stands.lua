-- SPDX-License-Identifier: MIT
-- A move whose fix-ups take their time, so that the guest writes to its disk before they end.
local check, fixup = require "migrun.check", require "migrun.fixup"
local listen = require "migrun.listen"

return {
  api = 1,
  summary = "Move, and look some seconds later",
  params = { seconds = { type = "integer", default = 3, min = 0, help = "how many" } },
  steps = {
    check.guest_is_running,
    { "the guest", phase = "migrate", run = function(run)
      run.instance:migrate(run.dest, { xml = listen.to_destination(run) })
    end },
    { "some seconds", phase = "fixup", run = function(run)
      run.dest:command({ "sleep", tostring(run.params.seconds) }, { reads = true })
    end },
    fixup.own_instance_files,
  },
}
