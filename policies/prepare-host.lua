-- SPDX-License-Identifier: MIT
-- Prepares hosts for live migration: names, a safe way from libvirtd to libvirtd, libvirt's settings and
-- nova.conf, each only where it is not right yet; libvirtd and nova-compute are restarted only where they
-- must read something anew. `migrun undo RUN` puts everything back. A preview ends with status 2 if anything
-- on the hosts is open to people it should not be open to. Copy this file and edit it for your site.
local host = require "migrun.host"

return {
  api     = 1,
  summary = "Prepare hosts for live migration, and close what is open on them",
  takes   = { "hosts" },
  audits  = true,

  params = {
    transport = { type = "string", default = "auto", choices = { "auto", "ssh", "tls", "tcp" },
      help = "how libvirtds reach each other; auto: as the site file has it, ssh where root can log in, else "
        .. "tls" },
    open      = { type = "boolean", default = false,
      help = "accept plain TCP without a login (transport=tcp)" },
    names     = { type = "boolean", default = false,
      help = "put names that are missing or wrong into the hosts' /etc/hosts" },
    ca        = { type = "string", default = "/etc/migrun/ca",
      help = "the folder of the CA on this machine; its key never leaves it" },
    days      = { type = "integer", default = 825, min = 1, max = 3650,
      help = "how long a new certificate is valid" },
    replace   = { type = "boolean", default = false,
      help = "replace certificates that another CA made" },
  },

  steps = host.all,
}
