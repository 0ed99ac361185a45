# SPDX-License-Identifier: MIT
# Hosts between which Nova cannot migrate, prepared by one command, and put back.
load cloud

settings() {
  for host in $(computes); do
    on "$host" bash -c 'cat /etc/nova/*.conf /etc/libvirt/*.conf /etc/default/libvirtd | sha256sum
      ls /etc/pki /etc/systemd/system/libvirtd.service.d 2>&1 || true'
  done
}
shut_tcp() {
  for host in $(computes); do
    on "$host" nft -f - <<<'table inet e2e { chain c { type filter hook input priority 0;
      iif "lo" accept; tcp dport 16509 reject with tcp reset; }; }'
  done
}
open_tcp() { for host in $(computes); do on "$host" nft delete table inet e2e 2>/dev/null || true; done; }
teardown() { open_tcp; }
run_named() { sed -n 's/.* run \(20[0-9-]*-[a-z0-9]*\)$/\1/p' <<<"$output" | head -n 1; }
other() { [[ $(host_of mover) == compute-1 ]] && echo compute-2 || echo compute-1; }

@test "Nova's live migration fails, and works by TLS and by ssh once the hosts are prepared" {
  booted mover compute-1
  before=$(settings)
  shut_tcp
  run openstack server migrate --live-migration --host compute-2 --wait mover
  await 60 eval '[[ $(openstack server migration list --server mover -f value -c Status) != *running* ]]'
  [[ $(host_of mover) == compute-1 ]]
  for way in tls ssh; do
    run migrun policies/prepare-host.lua -p "transport=$way" compute-1 compute-2
    ends_with_status 0
    ran+=("$(run_named)")
    host=$(other)
    run openstack server migrate --live-migration --host "$host" --wait mover
    await 60 eval '[[ $(host_of mover) == "$host" ]]'
    keeps_ticking "$(id_of mover)"
    run migrun policies/prepare-host.lua -p "transport=$way" compute-1 compute-2
    ends_with_status 0
    says "nothing had to be changed"
  done
  for run in "${ran[1]}" "${ran[0]}"; do
    run migrun undo --yes "$run"
    ends_with_status 0
  done
  [[ $(settings) == "$before" ]]
}
