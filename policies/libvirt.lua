-- SPDX-License-Identifier: MIT
-- Moves a running guest with libvirt alone: no OpenStack, no restart. Where the guest listens on an address
-- that only the source has (VNC, SPICE, serial ports), it is rewritten to the destination's own on the way.
-- What is called otherwise there (`maps` in the site file) is renamed. -p i_know=unsafe moves it though
-- libvirt calls the storage unsafe. Copy this file and edit it for your site.
local check  = require "migrun.check"
local destination = require "migrun.destination"
local fixup  = require "migrun.fixup"
local window = require "migrun.host.window"

return {
  api     = 1,
  summary = "Move a running guest by libvirt, peer to peer",

  params = {
    timeout   = { type = "duration", default = "auto", min = 1,
      help = "abort after this time; auto: 800 s per GiB of memory" },
    bandwidth = { type = "integer", default = 0, min = 0, help = "MiB/s at most; 0: no limit" },
  },

  steps = {
    check.all,

    window.open,

    { "the guest", phase = "migrate",
      run = function(run)
        run.instance:migrate(run.dest, {
          xml     = destination.xml(run),
          timeout = run.params.timeout,
          flags   = run.params.i_know.unsafe and { "UNSAFE" } or {},
          params  = run.params.bandwidth > 0 and { bandwidth = run.params.bandwidth } or nil,
        })
      end },

    fixup.own_instance_files,
  },
}
