-- SPDX-License-Identifier: MIT
-- The older way, for a QEMU or a Nova that cannot take a destination XML: stops libvirtd on the source, edits
-- its record of the guest (listen on every address, drop the capability flag migrate-qemu-fd), starts
-- libvirtd and moves the guest. Where libvirt takes a destination XML (1.1.0 and newer), use libvirt.lua: it
-- needs none of this.
local check  = require "migrun.check"
local fixup  = require "migrun.fixup"
local network = require "migrun.network"
local status = require "migrun.status"
local window = require "migrun.host.window"

local FLAG = "migrate-qemu-fd"

return {
  api     = 1,
  summary = "Move a running guest after surgery on libvirt's record of it (libvirtd stops for a second)",

  params = {
    timeout = { type = "duration", default = "auto", min = 1,
      help = "abort after this time; auto: 800 s per GiB of memory" },
  },

  steps = {
    check.all_but { check.listen_addresses_exist },
    check.status_listens_at_source,
    check.nothing_is_renamed,

    { "listen on every address", phase = "prepare",
      when = function(run) return #status.bound(run) > 0 or status.has_flag(run, FLAG) end,
      run  = function(run)
        local live = status.ready_to_move(run, { flags = { FLAG } })
        local defined = status.ready_to_start_elsewhere(run)
        run.source:service("libvirtd"):while_stopped(function()
          run.source:edit_xml(run.instance:status_file(), live)
          if run.instance.facts.persistent then
            run.source:edit_xml(run.instance:definition_file(), defined)
          end
        end)
        if run.preview then return "libvirtd would take it over" end
        return "libvirtd has taken it over; every guest is managed as before"
      end },

    window.open,
    network.watch,

    { "the guest", phase = "migrate",
      run = function(run)
        run.instance:migrate(run.dest,
          { timeout = run.params.timeout, flags = run.params.i_know.unsafe and { "UNSAFE" } or {} })
      end },

    fixup.own_instance_files,
    fixup.network_answers,
  },
}
