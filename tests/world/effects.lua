-- SPDX-License-Identifier: MIT
-- Every kind of change that a policy can make, for the fault sweep; a file's owner, mode and contents change
-- one after the other.
local fixup  = require "migrun.fixup"
local listen = require "migrun.listen"

local SETTINGS, OLD, NEW, MARK = "/etc/site/settings", "/etc/site/old", "/run/new", "/run/mark"
local SILENCE = "/run/silence"

return {
  api     = 1,
  summary = "Change what can be changed, and move a guest",

  steps = {
    { "files", phase = "prepare",
      run = function(run)
        local source = run.source
        source:chown(SETTINGS, "libvirt-qemu", "libvirt-qemu")
        source:chmod(SETTINGS, tonumber("600", 8))
        source:edit(SETTINGS, function(text) return (text:gsub("level = 1", "level = 2")) end)
        source:chmod(SETTINGS, tonumber("644", 8))
        run.dest:write(NEW, "made\n", { mode = tonumber("600", 8), user = "libvirt-qemu" })
        run.dest:remove(OLD)
      end },

    { "services and commands", phase = "prepare",
      run = function(run)
        run.source:service "cron":stop { timeout = 30 }
        run.dest:service "cron":restart()
        run.dest:command({ "touch", MARK }, { undo = { "rm", MARK } })
      end },

    { "silence", phase = "prepare", temporary = true,
      run = function(run) run.dest:command { "touch", SILENCE } end,
      undo = function(run)
        if run.dest:stat(SILENCE) then run.dest:command { "rm", SILENCE } end
      end },

    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },

    fixup.own_instance_files,

    { "a note", phase = "fixup", when = function(run) return run.instance:host() == run.dest end,
      run = function(run) run.dest:write("/run/note", "moved\n") end },

    { "service again", phase = "fixup",
      run = function(run) run.source:service "cron":start() end },
  },
}
