-- SPDX-License-Identifier: MIT
-- Settings of each of the hosts that are named, and a service that reads them: restarted when they changed,
-- and again when they are taken back.
local conf, ini = require "migrun.conf", require "migrun.ini"

local function restart(run, host) run.saved[host.name] = true; host:service("e2e-reader"):restart() end

return {
  api     = 1,
  summary = "Set what a service reads, and restart it",
  takes   = { "hosts" },
  params  = { level = { type = "integer", default = 5, help = "what is set" },
    fail = { type = "boolean", default = false, help = "fail at the end" } },
  steps   = {
    { "settings", phase = "prepare",
      run = function(run)
        for _, host in ipairs(run.hosts) do
          local before = host:read("/etc/e2e/reader.conf") .. host:read("/etc/e2e/reader.ini")
          host:edit("/etc/e2e/reader.conf", function(text)
            return conf.set(text, "level", run.params.level)
          end)
          host:edit("/etc/e2e/reader.ini", function(text)
            return ini.set(text, "libvirt", "level", run.params.level)
          end)
          if host:read("/etc/e2e/reader.conf") .. host:read("/etc/e2e/reader.ini") ~= before then
            restart(run, host)
          end
        end
      end,
      undo = function(run)
        for _, host in ipairs(run.hosts) do
          if run.saved[host.name] then host:service("e2e-reader"):restart() end
        end
      end },
    { "the end", phase = "prepare", when = function(run) return run.params.fail end,
      run = function(run) run:refuse("it was to fail") end },
  },
}
