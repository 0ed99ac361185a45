-- SPDX-License-Identifier: MIT
-- Every kind of effect, on both hosts; with -p fail=true the last step before the migration fails.
local check  = require "migrun.check"
local fixup  = require "migrun.fixup"
local listen = require "migrun.listen"

local function on_both(title, run)
  return { title, phase = "prepare",
    run = function(this)
      for _, host in ipairs { this.source, this.dest } do run(host) end
    end }
end

return {
  api     = 1,
  summary = "Make every kind of effect on both hosts",
  params  = { fail = { type = "boolean", default = false, help = "fail before the migration" } },
  steps = {
    check.guest_is_running,

    on_both("contents", function(host)
      host:write("/etc/e2e/text", "written\n")
      host:write("/etc/e2e/new", "new\n", { mode = tonumber("600", 8), user = "nobody", group = "daemon" })
      host:edit("/etc/e2e/lines", function(text) return text:gsub("two", "2") end)
      host:edit_xml("/etc/e2e/xml", { changes = { "@colour" }, apply = function(document)
        document:set("@colour", "blue")
      end })
      host:write("/etc/e2e/text", "written again\n")
    end),
    on_both("owners, modes, removals", function(host)
      host:chown("/etc/e2e/owned", "nobody", "daemon")
      host:chmod("/etc/e2e/moded", tonumber("4711", 8))
      host:remove("/etc/e2e/bytes")
    end),
    on_both("services", function(host)
      host:service("e2e-running"):stop()
      host:service("e2e-stopped"):start()
      host:service("e2e-stopped"):wait()
    end),
    on_both("commands", function(host)
      host:command({ "touch", "/etc/e2e/touched" }, { undo = { "rm", "/etc/e2e/touched" } })
    end),
    { "the last straw", phase = "prepare",
      when = function(run) return run.params.fail end,
      run  = function(run) run.dest:command { "sh", "-c", "echo 'the moon is full' >&2; exit 7" } end },

    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { xml = listen.to_destination(run) }) end },

    fixup.own_instance_files,
    { "a note", phase = "fixup",
      run = function(run) run.instance:host():write("/etc/e2e/note", "moved\n") end },
  },
}
