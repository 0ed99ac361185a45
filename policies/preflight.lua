-- SPDX-License-Identifier: MIT
-- Runs every check that the library has, and moves nothing: `migrun preflight.lua INSTANCE HOST`. A warning
-- does not keep a guest from moving. A policy that moves guests picks the checks that it needs.
local check = require "migrun.check"

return {
  api     = 1,
  summary = "Check whether a guest could move; nothing is changed",

  params = {
    unsafe = { type = "boolean", default = false,
      help = "as in libvirt.lua: do not ask whether libvirt calls the storage safe" },
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
