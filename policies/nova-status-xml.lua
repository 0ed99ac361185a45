-- SPDX-License-Identifier: MIT
-- The older way through Nova, for a Nova that does not put the destination's addresses into the destination's XML (where VNC, SPICE or
-- serial ports listen on an address that only the source has), or a guest whose record in libvirt holds a flag that the destination's does
-- not know: nova-compute and libvirtd on the source are stopped, what libvirt remembers of the guest is changed, both are started, and Nova
-- migrates. Nova of today does without all that, as long as each host's nova.conf has an address of its own: use nova.lua.
--
-- nova-compute is stopped so that it neither disables its own service nor takes guests for stopped while libvirtd is away, and the instance
-- is locked in Nova so that nobody else is at it meanwhile. A lock bars a plain user from migrating, so it is taken off just before; at
-- every end the lock is as it was found, and nova-compute is up, and enabled or disabled as it was.
local check  = require "migrun.check"
local fixup  = require "migrun.fixup"
local nova   = require "migrun.nova"
local status = require "migrun.status"

local FLAG = "migrate-qemu-fd"

return {
  api     = 1,
  nova    = true,
  summary = "Move an instance by Nova after surgery on libvirt's record of it",

  params = {
    timeout = { type = "duration", default = "auto", help = "abort when it takes longer; auto: 800 s for each GiB of memory" },
  },

  steps = {
    nova.instance_is_ready,
    nova.services_are_up,
    { "the destination is named", phase = "check",
      run = function(run)
        if not run.dest then run:refuse "what is changed depends on the destination's addresses, so it cannot be any: name a host" end
        return run.dest.name
      end },
    check.guest_is_running,
    nova.of_destination(check.destination_is_another_host),
    nova.of_destination(nova.hosts_are_in_one_cell),
    nova.of_destination(check.hosts_reach_each_other),
    nova.of_destination(check.guest_is_not_on_destination),
    nova.of_destination(nova.cpu_is_compatible(check.cpu_is_compatible)),
    nova.of_destination(nova.placement_has_room),
    nova.of_destination(check.memory_fits),
    nova.of_destination(nova.server_group_allows),
    nova.of_destination(check.same_storage),

    { "surgery", phase = "prepare",
      when = function(run) return #status.bound(run) > 0 or status.has_flag(run, FLAG) end,
      run  = function(run)
        local compute = run.source:service "nova-compute"
        run.saved.compute = nova.compute_service(run, run.source)
        run.nova:lock "migrun changes libvirt's record of it"
        compute:stop()
        local live, defined = status.ready_to_move(run, { flags = { FLAG } }), status.ready_to_start_elsewhere(run)
        run.source:service("libvirtd"):while_stopped(function()
          run.source:edit_xml(run.instance:status_file(), live)
          if run.instance.facts.persistent then run.source:edit_xml(run.instance:definition_file(), defined) end
        end)
        compute:start()
        compute:wait(120)
        return "libvirtd has taken it over, nova-compute is up again"
      end },

    { "live migration by Nova", phase = "migrate",
      run = function(run)
        run.nova:unlock()
        run.nova:live_migrate(run.dest, { timeout = run.params.timeout })
      end },

    nova.lock_as_found,
    nova.service_as_found,
    fixup.own_instance_files,
  },
}
