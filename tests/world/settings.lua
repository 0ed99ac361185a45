-- SPDX-License-Identifier: MIT
-- Changes on a guest's host that nothing moves, for the undo of a run that has ended.
local SETTINGS, NEW, MARK, SWITCH = "/etc/site/settings", "/run/new", "/run/mark", "/run/note"

return {
  api     = 1,
  summary = "Change what can be changed on a guest's host",
  takes   = { "instance" },

  steps = {
    { "files", phase = "prepare",
      run = function(run)
        local host = run.source
        host:chown(SETTINGS, "libvirt-qemu", "libvirt-qemu")
        host:chmod(SETTINGS, tonumber("600", 8))
        host:edit(SETTINGS, function(text) return (text:gsub("level = 1", "level = 2")) end)
        host:edit(SETTINGS, function(text) return (text:gsub("green", "blue")) end)
        host:write(NEW, "made\n", { mode = tonumber("600", 8), user = "libvirt-qemu" })
        host:chmod(NEW, tonumber("640", 8))
      end },

    { "services and commands", phase = "prepare",
      run = function(run)
        run.source:service "cron":stop { timeout = 30 }
        run.source:command({ "touch", MARK }, { undo = { "rm", MARK } })
      end },

    { "a switch", phase = "prepare",
      run = function(run) run.source:command { "touch", SWITCH } end,
      undo = function(run)
        if run.source:stat(SWITCH) then run.source:command { "rm", SWITCH } end
      end },

    { "the end", phase = "prepare", when = function(run) return run.source:stat "/etc/site/fail" ~= nil end,
      run = function(run) run:refuse "it is to fail" end },
  },
}
