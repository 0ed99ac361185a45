-- SPDX-License-Identifier: MIT
-- A site file: how migrun reaches the hosts, and where things lie there. Put it at /etc/migrun/site.lua, or name it with --site or
-- $MIGRUN_SITE. It is data only. Everything here has a default (shown), which fits packaged OpenStack; most sites need `hosts` alone.
return {
  -- Hosts that are asked where an instance runs. A host can have values of its own: ["compute-3"] = { address = "10.0.0.13" }.
  hosts = { "compute-1", "compute-2" },

  ssh = {
    -- user = "migrun",          -- ssh's own default
    -- become = "sudo",          -- how that user becomes root there, without a password
    agent = "migrun-agent",      -- the agent there
    relay = "auto",              -- libvirt's socket comes through ssh; "agent": never try to forward it
    keep = 60,                   -- seconds that ssh stays logged in after a run that went well, for the next one; 0: it does not
    options = {},                -- more arguments for ssh, as { "-o", "Port=2222" }
  },

  libvirt = {
    uri = "qemu+tcp://%s/system",                    -- how one host's libvirtd reaches another's
    -- migrate_uri = "tcp://%s",                     -- the address that the guest's memory takes
    socket = "/run/libvirt/libvirt-sock",
    socket_ro = "/run/libvirt/libvirt-sock-ro",
  },

  instances = "/var/lib/nova/instances",             -- a folder for each instance, by its uuid or name

  -- A service's unit, or { unit = "…", state = { "prog", "arg" }, start = …, stop = …, restart = … } where it is no systemd unit.
  services = { libvirtd = "libvirtd" },

  logs = { qemu = "/var/log/libvirt/qemu/%s.log", libvirtd = "/var/log/libvirt/libvirtd.log",
           nova_compute = "/var/log/nova/nova-compute.log" },
}
