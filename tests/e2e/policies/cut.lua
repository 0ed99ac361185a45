-- SPDX-License-Identifier: MIT
-- Changes files on both hosts in every way, and waits where it is told: a run to be cut off.
local fixup = require "migrun.fixup"
local listen = require "migrun.listen"

return {
  api = 1,
  summary = "A run to be cut off",
  params = {
    wait = { type = "string", default = "none", choices = { "none", "prepare", "migrate" },
      help = "where to wait" },
    seconds = { type = "integer", default = 60, help = "how long, in prepare" },
    bandwidth = { type = "integer", default = 20,
      help = "of the move, in MiB/s, where it is to wait in migrate" },
  },
  steps = {
    { "change", phase = "prepare",
      run = function(run)
        for _, host in ipairs { run.source, run.dest } do
          host:edit("/etc/cut", function(text) return text .. "changed\n" end)
          host:write("/etc/cut-new", "new\n")
          host:chmod("/etc/cut", tonumber("600", 8))
        end
      end },
    { "wait", phase = "prepare", when = function(run) return run.params.wait == "prepare" end,
      run = function(run)
        run.source:command({ "sleep", tostring(run.params.seconds) }, { reads = true, timeout = 120 })
        -- more than the journal's last page holds
        for n = 1, 20 do run.dest:write("/etc/cut-new", ("newer %d\n"):format(n)) end
      end },
    { "the guest", phase = "migrate",
      run = function(run)
        run.instance:migrate(run.dest,
          { xml = listen.to_destination(run), params = run.params.wait == "migrate"
          and { bandwidth = run.params.bandwidth } or nil })
      end },
    fixup.own_instance_files,
  },
}
