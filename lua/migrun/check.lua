-- SPDX-License-Identifier: MIT
-- Checks: steps that only ask. Each says what it saw, or refuses with the reason and the remedy. check.all is
-- every question that a guest raises on two hosts; a check of something that the guest has not is left out by
-- itself. A policy takes that list, or check.all_but { … }, or single ones as check.NAME. They ask the facts,
-- which were gathered at the start; what facts cannot tell is asked of the hosts and their libvirtds.
--
-- A check that an operator may know better about has a topic: -p i_know=storage,cpu tells what it said, and
-- goes on.
local check = {}

for _, topic in ipairs { "guest", "hosts", "machine", "memory", "network", "parts", "storage", "versions" } do
  for name, step in pairs(require("migrun.check." .. topic)) do check[name] = step end
end

check.all = {
  check.guest_is_running,
  check.no_block_jobs,
  check.no_snapshots,
  check.checkpoints_are_known,
  check.no_host_devices,
  check.devices_can_move,
  check.what_goes_along,
  check.destination_is_another_host,
  check.hosts_reach_each_other,
  check.memory_can_be_encrypted,
  check.clocks_agree,
  check.same_qemu_user,
  check.guest_is_not_on_destination,
  check.versions_are_good,
  check.machine_exists,
  check.cpu_is_compatible,
  check.memory_fits,
  check.pins_exist,
  check.network,
  check.secrets_exist,
  check.tpm_can_run,
  check.firmware_exists,
  check.ports_are_free,
  check.same_storage,
  check.libvirt_calls_it_safe,
  check.listen_addresses_exist,
}

---All checks but these: check.all_but { check.clocks_agree, … }.
---@param left_out table[]
---@return table[]
function check.all_but(left_out)
  local kept = {}
  for _, step in ipairs(check.all) do
    local is_left_out = false
    for _, other in ipairs(left_out) do is_left_out = is_left_out or other == step end
    if not is_left_out then kept[#kept + 1] = step end
  end
  return kept
end

return check
