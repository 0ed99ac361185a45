-- SPDX-License-Identifier: MIT
-- A site file: how migrun reaches the hosts, and where things are there. Install it as /etc/migrun/site.lua,
-- or name it with --site or $MIGRUN_SITE. It holds data only: no functions, no require. Everything here has a
-- default (shown), which fits packaged OpenStack; most sites need only `hosts`.
return {
  -- The hosts that may run an instance: each is asked. A host can have values of its own:
  -- ["compute-3"] = { address = "10.0.0.13" }.
  hosts = { "compute-1", "compute-2" },

  -- The hosts that run the cloud's own services (API, conductor, scheduler, Placement, Neutron): `migrun
  -- diagnose` reads their logs, too. They can have values of their own, as `hosts` can.
  -- control = { "controller-1" },

  ssh = {
    -- user = "migrun",          -- ssh's own default
    -- become = "sudo",          -- how that user becomes root there (no password); the only value
    agent = "migrun-agent",      -- the agent's path there
    relay = "auto",              -- forward libvirt's socket through ssh; "agent": let the agent relay it
    keep = 60,                   -- seconds that ssh stays logged in after a run that succeeded; 0: never
    options = {},                -- more arguments for ssh, for example { "-o", "Port=2222" }
  },

  libvirt = {
    uri = "qemu+tcp://%s/system",                    -- how one host's libvirtd reaches another's (%s)
    -- migrate_uri = "tcp://%s",                     -- where the guest's memory is sent
    socket = "/run/libvirt/libvirt-sock",
    socket_ro = "/run/libvirt/libvirt-sock-ro",
    config = "/etc/libvirt",                         -- Kolla: "/etc/kolla/nova-libvirt"
    definitions = "/etc/libvirt/qemu",  -- Kolla: "/var/lib/docker/volumes/nova_libvirt_qemu/_data"
  },

  instances = "/var/lib/nova/instances",             -- one folder per instance, named by its uuid or name

  -- A service's systemd unit, or, for anything else, its commands:
  -- { unit = "…", state = { "prog", "arg" }, start = …, stop = …, restart = … }. What tells the state can
  -- change nothing and reaches no daemon; sockets = true lets it ask one of the host's (docker, podman,
  -- systemd).
  services = { libvirtd = "libvirtd" },

  -- What a guest's XML calls otherwise on a host; asked and renamed as it goes there. Of kinds bridge,
  -- network (libvirt's), device (macvtap's), path (folders), cpu and node (pins: as many numbers on either
  -- side).
  -- maps = { ["compute-2"] = { bridge = { ["br-a"] = "br-b" }, cpu = { ["0-3"] = "8-11" } } },

  -- Pairs of versions that this site knows to be bad, as those in lua/migrun/known_bad.lua.
  -- known_bad = { { action = "refuse", source = { qemu = "<8" }, dest = { qemu = ">=9 <9.0.2" },
  --                 guest = "devices/tpm", says = "our guests with a TPM stop on {dest}",
  --                 remedy = "QEMU 9.0.2" } },

  -- A guest's network after its move. What the guest announces on the destination (RARP, gratuitous ARP) is
  -- listened for; a probe is asked before the move and after it. The guest's address is the one that Neutron
  -- knows, the probe's own, or the one that the guest announces. Name a probe only where the host that asks
  -- has a way to the guests' network.
  network = {
    -- probe = { ping = true },                      -- asked all the time: its longest gap is told
    -- probe = { tcp = 22 },                         -- a port that is open
    -- probe = { session = 7,                        -- a TCP session through the move, with what echoes there
    --   address = "%s.guests.example.org",          -- %s: the guest's name
    --   from = "here" },                            -- the host with migrun; "destination"
    announce = 0,                                    -- more announcements by QEMU (libvirt notes that its
                                                     -- monitor was used: the guest is tainted)
    within = 10,                                     -- seconds to wait for all that
  },

  nova = { config = "/etc/nova" },                   -- Kolla: "/etc/kolla/nova-compute"

  logs = { qemu = "/var/log/libvirt/qemu/%s.log", libvirtd = "/var/log/libvirt/libvirtd.log",
           nova_compute = "/var/log/nova/nova-compute.log" },
}
