-- SPDX-License-Identifier: MIT
-- Asks everything that is known to keep a guest from moving, and moves nothing: `migrun preflight.lua INSTANCE HOST`. Warnings keep nothing
-- from moving, and should be known. A policy that moves takes those checks that it needs.
local check = require "migrun.check"

return {
  api     = 1,
  summary = "Ask whether a guest could move; nothing is changed",

  params = {
    unsafe = { type = "boolean", default = false, help = "as libvirt.lua's: do not ask whether libvirt takes the storage for safe" },
  },

  steps = {
    check.guest_is_running,
    check.no_block_jobs,
    check.no_snapshots,
    check.no_host_devices,
    check.devices_can_move,
    check.what_goes_along,
    check.destination_is_another_host,
    check.hosts_reach_each_other,
    check.transport_is_guarded,
    check.clocks_agree,
    check.same_qemu_user,
    check.guest_is_not_on_destination,
    check.machine_exists,
    check.cpu_is_compatible,
    check.memory_fits,
    check.same_storage,
    check.libvirt_calls_it_safe,
    check.listen_addresses_exist,
    check.status_listens_at_source,
  },
}
