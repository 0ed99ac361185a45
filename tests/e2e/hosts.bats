# SPDX-License-Identifier: MIT
# Policies that take hosts: what is open on them, what is set there, and the undo of a run that has ended.
load helper

setup() {
  log_out
  for host in $(computes); do
    on "$host" bash -c 'mkdir -p /etc/e2e; cd /etc/e2e
      printf "# level = 1\nlevel = 2 # why\n" >reader.conf; chmod 640 reader.conf; chown 1:2 reader.conf
      printf "[DEFAULT]\r\n#level = 1\r\n[libvirt]\r\n" >reader.ini
      cat >/etc/systemd/system/e2e-reader.service <<U
[Service]
ExecStart=/bin/sh -c "cat /etc/e2e/reader.conf >/run/e2e-read; sleep 10000"
U
      systemctl daemon-reload; systemctl restart e2e-reader'
    await 50 reads "$host" 2
  done
  before=$(settings)
}
teardown() {
  for host in $(computes); do
    on "$host" bash -c 'systemctl stop e2e-reader; rm -rf /etc/systemd/system/e2e-reader.service /etc/e2e
      systemctl daemon-reload'
  done
}
reads() { on "$1" grep -q "^level = $2" /run/e2e-read; }
settings() {
  for host in $(computes); do
    on "$host" bash -c 'cd /etc/e2e; stat -c "%n %a %u:%g" *; md5sum *'
  done
}
run_named() { sed -n 's/.* run \(20[0-9-]*-[a-z0-9]*\)$/\1/p' <<<"$output" | head -n 1; }
set_level() {
  run migrun -p "level=$1" tests/e2e/policies/settings.lua compute-1 compute-2
  ends_with_status 0
  ran=$(run_named)
}

@test "hosts are named once each, and one at least" {
  run migrun tests/e2e/policies/settings.lua
  ends_with_status 1
  says "takes one or more hosts: migrun [options] tests/e2e/policies/settings.lua HOST…"
  run migrun tests/e2e/policies/settings.lua compute-1 compute-1
  ends_with_status 1
  says "host compute-1 is named twice"
  run migrun tests/e2e/policies/settings.lua compute-1 compute-7
  ends_with_status 2
  says "unknown host compute-7"
  [[ $(settings) == "$before" ]]
}

@test "set on all of them, once; a preview shows it, and a second run changes nothing" {
  run migrun -n tests/e2e/policies/settings.lua compute-1 compute-2
  ends_with_status 0
  says "or compute-1, compute-2, by tests/e2e/policies/settings.lua"
  verdict_is "Would make 6 changes"
  [[ $(settings) == "$before" ]]
  set_level 5
  verdict_is "Done: 6 changes made."
  for host in $(computes); do
    await 50 reads "$host" 5
    on "$host" grep -qxF "level = 5 # why" /etc/e2e/reader.conf
    [[ $(on "$host" stat -c '%a %u:%g' /etc/e2e/reader.conf) == "640 1:2" ]]
    [[ $(on "$host" cat /etc/e2e/reader.ini) == $'[DEFAULT]\r\n#level = 1\r\n[libvirt]\r\nlevel = 5\r' ]]
  done
  set_level 5
  verdict_is "Done: nothing had to be changed"
}

@test "a run that fails leaves the service with what it had" {
  run migrun -p fail=true tests/e2e/policies/settings.lua compute-1 compute-2
  ends_with_status 3
  [[ $(settings) == "$before" ]]
  for host in $(computes); do await 50 reads "$host" 2; done
}

@test "undo: every byte is back, and the service reads it" {
  set_level 5
  run migrun undo -n "$ran"
  ends_with_status 0
  verdict_is "Would undo"
  for host in $(computes); do reads "$host" 5; done
  run migrun undo "$ran"            # there is nobody to be asked
  ends_with_status 1
  says "--yes"
  for host in $(computes); do reads "$host" 5; done
  run migrun undo --yes "$ran"
  ends_with_status 0
  verdict_is "Undone: .* of run $ran\."
  [[ $(settings) == "$before" ]]
  for host in $(computes); do
    await 50 reads "$host" 2
    [[ -z $(on "$host" ls -A /var/lib/migrun/claims) ]]
  done
  run migrun undo --yes "$ran"
  ends_with_status 2
  says "nothing of run $ran is left to undo"
  run migrun history
  says "undone"
}

@test "undo: what somebody changed since is left as it is, and the rest is put back" {
  set_level 5
  on compute-2 bash -c 'echo "more = 1" >>/etc/e2e/reader.conf'
  run migrun undo --yes "$ran"
  ends_with_status 6
  verdict_is "Not all undone: 1 change of run $ran could not be put back"
  says "somebody else changed it since"
  on compute-1 grep -qxF "level = 2 # why" /etc/e2e/reader.conf
  on compute-2 grep -qxF "more = 1" /etc/e2e/reader.conf
  on compute-2 bash -c 'sed -i /more/d /etc/e2e/reader.conf'
  run migrun undo --yes "$ran"
  ends_with_status 0
  on compute-2 grep -qxF "level = 2 # why" /etc/e2e/reader.conf
}

@test "undo: of runs that there are not, that moved a guest, or undid everything themselves" {
  run migrun undo --yes 20200101-000000-abc
  ends_with_status 1
  says "no run 20200101-000000-abc"
  run migrun -p fail=true tests/e2e/policies/settings.lua compute-1
  ran=$(run_named)
  run migrun undo --yes "$ran"
  ends_with_status 2
  says "nothing of run $ran is left to undo"
  ensure still compute-1
  run migrun policies/libvirt.lua still compute-2
  ends_with_status 0
  ran=$(run_named)
  run migrun undo --yes "$ran"
  ends_with_status 2
  says "run $ran moved still to compute-2: migrun policies/libvirt.lua still compute-1 moves it"
  forget still
}

@test "undo: a host is away, so nothing is touched; Ctrl-C is heard" {
  set_level 5
  on compute-2 systemctl stop ssh
  log_out
  run migrun undo --yes "$ran"
  on compute-2 systemctl start ssh
  ends_with_status 2
  says "Refused, nothing was touched"
  for host in $(computes); do reads "$host" 5; done
  run migrun undo --yes "$ran"
  ends_with_status 0
  [[ $(settings) == "$before" ]]
}

@test "what is open on hosts: libvirt's port, consoles, keys, passwords" {
  ensure wide compute-1 listen=0.0.0.0
  on compute-1 bash -c 'mkdir -p /etc/pki/libvirt/private; cd /etc/pki/libvirt/private; : >serverkey.pem
    chmod 644 serverkey.pem; mkdir -p /etc/nova; cd /etc/nova
    printf "[DEFAULT]\ntransport_url = rabbit://u:pw@h/\n" >nova.conf; chmod 644 nova.conf'
  run migrun policies/audit-host.lua compute-1 compute-2
  on compute-1 rm -rf /etc/pki/libvirt/private/serverkey.pem /etc/nova/nova.conf
  forget wide
  ends_with_status 2
  says "compute-1: OPEN, anyone who reaches"
  says ":16509 is root there (auth_tcp = \"none\", /etc/libvirt/libvirtd.conf:"
  says "compute-1: 1 console listens on every address (wide), and qemu.conf demands neither TLS"
  says "compute-1: /etc/pki/libvirt/private/serverkey.pem can be read by every user (mode 644): chmod o= "
  says "compute-1: /etc/nova/nova.conf can be read by every user"
  says_not "compute-2: /etc/nova"
}

# As the article has them: libvirtd by --listen, plain TCP without a login, and a nova.conf of its day.
@test "the article's configuration: its hole is named, and closed by one command" {
  on compute-1 bash -s <<'S'
    mkdir -p /etc/nova /usr/lib/python3/dist-packages/nova-26.2.2.egg-info
    printf '%s\r\n' '[DEFAULT]' 'vncserver_listen=0.0.0.0' 'image_cache_manager_interval=0' \
      'live_migration_flag=VIR_MIGRATE_PEER2PEER,VIR_MIGRATE_LIVE,VIR_MIGRATE_UNSAFE' \
      '# mine' '[libvirt]' 'disk_cachemodes = "file=writeback,network=writeback"' >/etc/nova/nova.conf
    cat >/etc/systemd/system/nova-compute.service <<U
[Service]
ExecStart=/bin/sh -c "cp /etc/nova/nova.conf /run/nova-read; exec sleep 100000"
U
    systemctl daemon-reload; systemctl start nova-compute
S
  kept=$(on compute-1 bash -c 'sha256sum /etc/nova/nova.conf /etc/libvirt/*.conf /etc/default/libvirtd')
  run migrun policies/audit-host.lua compute-1
  ends_with_status 2
  says "OPEN, anyone who reaches"
  says "migrun prepare-host.lua compute-1"
  run migrun -n policies/prepare-host.lua compute-1 compute-2
  ends_with_status 2
  says "OPEN, anyone who reaches"
  verdict_is "Would make .* changes"
  run migrun policies/prepare-host.lua compute-1 compute-2
  ends_with_status 0
  says "[DEFAULT] live_migration_flag is not read by Nova 26.2.2, which sets the flags itself; UNSAFE is left"
  says "[DEFAULT] vncserver_listen is not read by Nova 26.2.2"
  says "0 is the default rate for this Nova, and -1 is never"
  ran=$(run_named)
  on compute-1 grep -qaP '^live_migration_scheme = ssh\r$' /run/nova-read
  on compute-1 grep -qaP '^disk_cachemodes = file=none,network=writeback\r$' /run/nova-read
  on compute-1 grep -qaP '^image_cache_manager_interval=-1\r$' /run/nova-read
  run migrun policies/audit-host.lua compute-1 compute-2
  ends_with_status 0
  run migrun policies/prepare-host.lua compute-1 compute-2
  says "nothing had to be changed"
  run migrun undo --yes "$ran"
  ends_with_status 0
  [[ $(on compute-1 bash -c 'sha256sum /etc/nova/nova.conf /etc/libvirt/*.conf /etc/default/libvirtd') == \
    "$kept" ]]
  on compute-1 bash -c 'systemctl stop nova-compute; rm -r /etc/nova /etc/systemd/system/nova-compute.service
    rmdir /usr/lib/python3/dist-packages/nova-26.2.2.egg-info 2>/dev/null; systemctl daemon-reload'
}
