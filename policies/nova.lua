-- SPDX-License-Identifier: MIT
-- Moves an instance by Nova's live migration: checks both Nova and libvirt first, watches Nova and libvirt's
-- job on the source, verifies the result in both, and restores file ownership. INSTANCE is the instance's
-- name or id in Nova, or its name in libvirt; HOST is a compute host, or any for the scheduler's choice. Copy
-- this file and edit it for your site.
--
-- Where VNC or a serial port listens on an address that only the source has, a current Nova rewrites it to
-- the destination's, if each host's nova.conf has its own (server_listen, proxyclient_address). For an older
-- Nova, see policies/nova-status-xml.lua.
local fixup = require "migrun.fixup"
local network = require "migrun.network"
local nova  = require "migrun.nova"
local window = require "migrun.host.window"

return {
  api     = 1,
  nova    = true,
  summary = "Move an instance by Nova's live migration",

  params = {
    timeout = { type = "duration", default = "auto", min = 1,
      help = "abort after this time; auto: 800 s per GiB of memory" },
  },

  steps = {
    nova.all,

    window.open,
    network.watch,

    nova.live_migration,

    fixup.own_instance_files,
    fixup.network_answers,
  },
}
