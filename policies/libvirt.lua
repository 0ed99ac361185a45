-- SPDX-License-Identifier: MIT
-- Moves a running guest with libvirt alone: no OpenStack, no restart. Where the guest listens on an address
-- that only the source has (VNC, SPICE, serial ports), it is rewritten to the destination's own on the way.
-- Copy this file and edit it for your site.
local check  = require "migrun.check"
local fixup  = require "migrun.fixup"
local listen = require "migrun.listen"
local window = require "migrun.host.window"

return {
  api     = 1,
  summary = "Move a running guest by libvirt, peer to peer",

  params = {
    timeout   = { type = "duration", default = "auto", min = 1,
      help = "abort after this time; auto: 800 s per GiB of memory" },
    unsafe    = { type = "boolean", default = false,
      help = "migrate even if libvirt calls the storage unsafe" },
    bandwidth = { type = "integer", default = 0, min = 0, help = "MiB/s at most; 0: no limit" },
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
    check.listen_addresses_exist,

    window.open,

    { "the guest", phase = "migrate",
      run = function(run)
        run.instance:migrate(run.dest, {
          xml     = listen.to_destination(run),
          timeout = run.params.timeout,
          flags   = run.params.unsafe and { "UNSAFE" } or {},
          params  = run.params.bandwidth > 0 and { bandwidth = run.params.bandwidth } or nil,
        })
      end },

    fixup.own_instance_files,
  },
}
