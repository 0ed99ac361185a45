-- SPDX-License-Identifier: MIT
-- The older way, for a QEMU or a Nova that cannot take a destination XML: stops libvirtd on the source, edits
-- its record of the guest (listen on every address, drop the capability flag migrate-qemu-fd), starts
-- libvirtd and moves the guest. Where libvirt takes a destination XML (1.1.0 and newer), use libvirt.lua: it
-- needs none of this.
local check  = require "migrun.check"
local fixup  = require "migrun.fixup"
local status = require "migrun.status"
local window = require "migrun.host.window"

local FLAG = "migrate-qemu-fd"

return {
  api     = 1,
  summary = "Move a running guest after surgery on libvirt's record of it (libvirtd stops for a second)",

  params = {
    timeout = { type = "duration", default = "auto", min = 1,
      help = "abort after this time; auto: 800 s per GiB of memory" },
    unsafe  = { type = "boolean", default = false,
      help = "migrate even if libvirt calls the storage unsafe" },
  },

  steps = {
    check.guest_is_running,
    check.no_block_jobs,
    check.no_snapshots,
    check.no_host_devices,
    check.devices_can_move,
    check.destination_is_another_host,
    check.hosts_reach_each_other,
    check.clocks_agree,
    check.same_qemu_user,
    check.guest_is_not_on_destination,
    check.machine_exists,
    check.cpu_is_compatible,
    check.memory_fits,
    check.same_storage,
    check.libvirt_calls_it_safe,
    check.status_listens_at_source,

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

    { "the guest", phase = "migrate",
      run = function(run)
        run.instance:migrate(run.dest,
          { timeout = run.params.timeout, flags = run.params.unsafe and { "UNSAFE" } or {} })
      end },

    fixup.own_instance_files,
  },
}
