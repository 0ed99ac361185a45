-- SPDX-License-Identifier: MIT
-- A surgery on the guest's record that goes wrong in the way that is asked for.
local check  = require "migrun.check"
local status = require "migrun.status"

-- A change of the status XML that declares what it touches.
local function change(changes, apply) return { changes = changes, apply = apply } end

local ways = {
  good = function(run, file, ready) run.source:edit_xml(file, ready) end,
  full = function(run, file, ready)
    run.source:command({ "sh", "-c", "dd if=/dev/zero of=/run/e2e-full bs=4k 2>/dev/null; true" },
      { undo = { "rm", "-f", "/run/e2e-full" } })
    run.source:edit_xml(file, ready)
  end,
  ["unknown flag"] = function(run, file, ready)
    run.source:edit_xml(file, change({ "qemuCaps" }, function(document)
      document:add("qemuCaps", "<flag name='no-such-flag'/>")
    end))
  end,
  ["not declared"] = function(run, file, ready)
    run.source:edit_xml(file, change({ "qemuCaps" }, function(document)
      document:set("domain/devices/disk/alias/@name", "virtio-disk7")
    end))
  end,
  -- what a starting libvirtd would end the guest for
  ["another device address"] = function(run, file, ready)
    run.source:edit_xml(file, change({ "qemuCaps" }, function(document)
      document:set("domain/devices/disk/address/@slot", "0x1e")
    end))
  end,
  ["declares nothing"] = function(run, file, ready)
    run.source:edit_xml(file, function(document) document:set("@state", "running") end)
  end,
  ["as text"] = function(run, file, ready) run.source:write(file, "<domstatus") end,
  ["caught"] = function(run, file, ready)
    run.source:edit_xml(file, ready)
    pcall(function() run.source:read("/no/such/file") end)
  end,
  ["not well-formed"] = function(run, file, ready)
    run.source:edit_xml(file, change({ "qemuCaps" }, function(document)
      document:add("qemuCaps", "<flag name='x'>")
    end))
  end,
  ["starts it"] = function(run) run.source:service("libvirtd"):start() end,
  ["a stop in it"] = function(run) run.source:service("libvirtd"):while_stopped(function() end) end,
  quick = function(run, file, ready) run.source:edit_xml(file, ready) end,
  ["waits"] = function(run, file, ready)
    run.source:edit_xml(file, ready)
    run.source:command({ "touch", "/run/e2e-in-surgery" }, { undo = { "rm", "-f", "/run/e2e-in-surgery" } })
    run.source:command({ "sh", "-c", "while [ -e /run/e2e-in-surgery ]; do sleep 0.1; done" },
      { timeout = 100 })
  end,
  ["loops"] = function(run)
    run.source:command({ "touch", "/run/e2e-in-surgery" }, { undo = { "rm", "-f", "/run/e2e-in-surgery" } })
    while true do end
  end,
}

return {
  api     = 1,
  summary = "A surgery for the tests",
  takes   = { "instance" },
  params  = { way = { type = "string", default = "good", help = "which" } },
  steps   = {
    check.guest_is_running,
    { "operate", phase = "prepare",
      run = function(run)
        local way = ways[run.params.way] or error("no such way")
        local ready = status.ready_to_move(run)
        run.source:service("libvirtd"):while_stopped(function()
          way(run, run.instance:status_file(), ready)
        end)
      end },
    { "fail afterwards", phase = "prepare", when = function(run) return run.params.way == "good" end,
      run = function(run) run:refuse("as the test wants it") end },
  },
}
