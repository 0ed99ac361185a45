-- SPDX-License-Identifier: MIT
-- Pairs of versions that are known to be bad for guests of some kind. A site adds its own in its site file
-- (known_bad = { … }). An entry:
--   says    a sentence: what happens ({source}, {dest}: the hosts' names)
--   source, dest, either
--           versions on that host: { libvirt = ">=10 <11.10", qemu = "…", kernel = "…", gnutls = "…" }; all
--           of them hold. either: on one of the two hosts
--   guest   an XPath of its live XML that finds something in guests that are meant; without it all are
--   param   a parameter of the policy that has to be on (post_copy)
--   action  "refuse", or "warn" where it does not always happen
--   remedy  what to do
--   by      the source of the knowledge
return {
  { action = "warn", dest = { qemu = ">=10", libvirt = "<11.10" }, guest = "cpu/topology[@threads > 1]",
    says = "QEMU 10 and newer under libvirt before 11.10 on {dest} can refuse a guest with threads (extra "
      .. "features: ht)",
    remedy = "libvirt 11.10 there, or another host", by = "libvirt 11.10's release notes; reports of "
      .. "operators" },
  { action = "warn", either = { libvirt = ">=11.2 <11.4" }, param = "post_copy",
    says = "virtqemud 11.2 and 11.3 crash when a post-copy migration is resumed",
    remedy = "libvirt 11.4, or move it without post-copy", by = "libvirt 11.4's release notes" },
  { action = "refuse", source = { qemu = ">=10.0 <10.1" }, dest = { qemu = ">=11.1" },
    guest = "devices/disk/target[@bus='virtio']",
    says = "QEMU 11.1 on {dest} takes no virtio disk from 10.0 on {source} (vring.num 1024 exceeds allocated "
      .. "max 256)",
    remedy = "a host with QEMU 10 or 11.0, or upgrade {source} first and restart the guest",
    by = "seen in the lab: Debian's 10.0.13 to 11.1.2, machine pc-q35-7.2; from 7.2 to 11.1.2 it works" },
  { action = "refuse", either = { qemu = "<10.1" }, param = "post_copy", also = "parallel",
    says = "QEMU before 10.1 has no post-copy with several connections: the guest ends shut off on {dest}",
    remedy = "one of the two",
    by = "QEMU, migration/options.c: Postcopy is not yet compatible with multifd" },
}
