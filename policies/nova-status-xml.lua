-- SPDX-License-Identifier: MIT
-- The older way through Nova, for a Nova that does not put the destination's addresses into the destination's
-- XML (where VNC, SPICE or serial ports listen on an address that only the source has), or for a guest whose
-- record in libvirt holds a flag that the destination does not know: stops nova-compute and libvirtd on the
-- source, edits libvirt's record of the guest, starts both, and lets Nova migrate. A current Nova needs none
-- of this if each host's nova.conf has its own address: use nova.lua.
--
-- nova-compute is stopped so that it neither disables its own service nor marks guests as stopped while
-- libvirtd is down, and the instance is locked in Nova so that nobody else works on it meanwhile. A lock
-- keeps a plain user from migrating, so it is removed just before. In every case the lock is restored in the
-- end, and nova-compute is up, enabled or disabled as before.
local fixup  = require "migrun.fixup"
local network = require "migrun.network"
local nova   = require "migrun.nova"
local status = require "migrun.status"
local window = require "migrun.host.window"

local FLAG = "migrate-qemu-fd"

return {
  api     = 1,
  nova    = true,
  summary = "Move an instance by Nova after surgery on libvirt's record of it",

  params = {
    timeout = { type = "duration", default = "auto", min = 1,
      help = "abort after this time; auto: 800 s per GiB of memory" },
  },

  steps = {
    nova.all,
    { "the destination is named", phase = "check",
      run = function(run)
        if not run.dest then
          run:refuse "the surgery depends on the destination's addresses: name a host instead of any"
        end
        return run.dest.name
      end },

    { "surgery", phase = "prepare",
      when = function(run) return #status.bound(run) > 0 or status.has_flag(run, FLAG) end,
      run  = function(run)
        local compute = run.source:service "nova-compute"
        run.saved.compute = nova.compute_service(run, run.source)
        run.nova:lock "migrun changes libvirt's record of it"
        compute:stop()
        local live = status.ready_to_move(run, { flags = { FLAG } })
        local defined = status.ready_to_start_elsewhere(run)
        run.source:service("libvirtd"):while_stopped(function()
          run.source:edit_xml(run.instance:status_file(), live)
          if run.instance.facts.persistent then
            run.source:edit_xml(run.instance:definition_file(), defined)
          end
        end)
        compute:start()
        compute:wait(120)
        return run.preview and "libvirtd would take it over, nova-compute would be restarted"
          or "libvirtd has taken it over, nova-compute is up again"
      end },

    window.open,
    network.watch,

    { "live migration by Nova", phase = "migrate",
      run = function(run)
        run.nova:unlock()
        run.nova:live_migrate(run.dest, { timeout = run.params.timeout })
      end },

    nova.lock_as_found,
    nova.service_as_found,
    fixup.own_instance_files,
    fixup.network_answers,
  },
}
