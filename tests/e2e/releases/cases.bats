# SPDX-License-Identifier: MIT
# Cases of tp-libvirt that no other file here has (the whole list: cases.md): what migrun says, and where the
# guest is.
load ../helper

# More often than systemd lets it by itself.
restart='systemctl reset-failed libvirtd; systemctl restart libvirtd
  for _ in {1..300}; do ! virsh -rq list || break; sleep 0.1; done'

teardown() {
  local host
  while begun_pid >/dev/null; do interrupt KILL; done
  for host in $(computes); do
    on "$host" bash -c 'if [[ -e /run/cases ]]; then
        for f in qemu libvirtd; do cat /run/cases/$f.conf >/etc/libvirt/$f.conf; done
        rm -rf /run/cases /etc/libvirt/hooks/qemu
        '"$restart"'
      fi
      rm -rf /var/tmp/cases
      [[ ! -e /run/cases-ports ]] || { kill "$(cat /run/cases-ports)" || true; rm /run/cases-ports; }' \
      2>/dev/null || true
  done
  forget odd
  forget even
  migrun -q recover >/dev/null 2>&1 || true
}
teardown_file() { forget slow; }

with=tests/e2e/policies/with.lua
# Where `odd` is, and where it is to go.
setup() {
  from=compute-1 to=compute-2
  ! runs_at odd compute-2 || from=compute-2 to=compute-1
}
# moves [OPTION …]: odd moves by libvirt.lua; with FLAGS PARAMETERS [OPTION …]: as these are given to libvirt.
moves() { run migrun policies/libvirt.lua "$@" odd "$to"; ends_with_status 0; stands odd "$to"; }
with() { run migrun -p flags="$1" -p with="$2" "${@:3}" $with odd "$to"; setup; }
stays() {  # TEXT …: it did not move, and says why
  local text flat; flat=$(tr -s ' \n' ' ' <<<"$output")
  ends_with_status 3
  verdict_is "Not moved: odd runs on compute-1 as before; nothing had to be undone."
  for text; do [[ $flat == *"$text"* ]] || fail "does not say: $text" "---" "$output"; done
  stands odd compute-1
  gone_from odd compute-2
}
# changed HOST FILE LINE: libvirtd there with such a line; LINE on stdin for a hook.
changed() {
  on "$1" bash -c 'mkdir -p /run/cases /etc/libvirt/hooks
    for f in qemu libvirtd; do [[ -e /run/cases/$f.conf ]] || cp /etc/libvirt/$f.conf /run/cases/; done
    if [[ $1 == hooks/qemu ]]; then cat >/etc/libvirt/$1; chmod 755 /etc/libvirt/$1
    else sed -i "/^${2%% *}/d" /etc/libvirt/$1; printf "%s\n" "${@:2}" >>/etc/libvirt/$1; fi
    '"$restart" - "${@:2}" >/dev/null 2>&1
}

# ---- what the guest has ----

@test "a disk that both hosts share is not copied onto itself" {
  idle odd compute-1
  with NON_SHARED_DISK ''
  stays "is one and the same on compute-1 and compute-2, and libvirt would copy it onto itself: leave out"
}

@test "its password, what was plugged in, switched and limited meanwhile goes along; its definition stays" {
  local devices host
  devices="<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <watchdog model='i6300esb' action='reset'/><panic model='isa'/>
    <controller type='pci' index='0' model='pcie-root'/>$(printf "<controller type='pci'
      model='pcie-root-port'/>%.0s" {1..14})
    <memballoon model='virtio'><stats period='10'/></memballoon>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <serial type='pty'/><serial type='unix'><source mode='bind' path='/tmp/odd.sock'/></serial>
    <interface type='bridge'><mac address='52:54:00:1a:2b:3e'/><source bridge='br-lab'/>
      <model type='virtio'/></interface>"
  idle odd compute-1 memory=64 listen="$net.11" "devices=$devices" verb=define \
    "vnc=port='-1' autoport='yes' passwd='sesame'" \
    "cpu=<maxMemory slots='2' unit='MiB'>512</maxMemory><features><acpi/></features><cpu mode='custom'
      match='exact'><model>qemu64</model><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu>"
  on compute-1 sh -c "virsh dumpxml --inactive --security-info odd |
    sed \"s/>1</ current='1'&/; s/>1</>3</; s/cpus='0'/cpus='0-2'/\" >/run/odd.xml
    virsh -q define /run/odd.xml; virsh -q start odd"
  truncate -s 1M "$LAB/instances/$(uuid_of odd)/plugged"
  on compute-1 sh -s "$instances/$(uuid_of odd)/plugged" <<'S' >/dev/null
    set -e
    echo '<memory model="dimm"><target><size unit="MiB">128</size><node>0</node></target></memory>' >/run/dimm
    virsh -q attach-device odd /run/dimm --live
    virsh -q attach-disk odd "$1" vdb --live --cache none
    virsh -q attach-interface odd bridge br-lab --live --mac 52:54:00:1a:2b:3f --model virtio
    virsh -q domif-setlink odd 52:54:00:1a:2b:3e down
    virsh -q blkdeviotune odd vda --live --total-iops-sec 777
    virsh -q dommemstat odd --period 17 --live
    virsh -q setvcpus odd 2 --live
S
  on compute-1 virsh -q dumpxml --inactive --security-info odd | sed "s/$net.11/own/" >"$BATS_TEST_TMPDIR/was"
  moves
  run on compute-2 virsh -q dumpxml --security-info odd
  for text in "passwd='sesame'" "target dev='vdb'" "52:54:00:1a:2b:3f" "link state='down'" \
    "<total_iops_sec>777" "period='17'" "current='2'>3<" "<memory model='dimm'"; do says "$text"; done
  on compute-2 virsh -q dumpxml --inactive --security-info odd | sed "s/$net.12/own/" |
    diff "$BATS_TEST_TMPDIR/was" - >&2 || fail "its definition is another one"
  [[ $(owner "$(uuid_of odd)/plugged") == libvirt-qemu:libvirt-qemu ]]
}

@test "a paused guest: refused; one that its policy moves all the same stays paused; so does one told to" {
  idle odd compute-1
  on compute-1 virsh -q suspend odd
  run migrun policies/libvirt.lua odd compute-2
  ends_with_status 2
  with '' ''
  ends_with_status 0
  verdict_is "Moved: odd is paused, as it was to be, on compute-2 and is gone from compute-1;"
  on compute-2 virsh -q resume odd
  from=compute-2 to=compute-1
  with PAUSED ''
  ends_with_status 0
  verdict_is "Moved: odd is paused, as it was to be, on compute-1 and is gone from compute-2;"
}

@test "what libvirt keeps of it: not undefined here, not defined there, another name there" {
  idle odd compute-1
  with -UNDEFINE_SOURCE ''
  ends_with_status 4
  verdict_is "Moved, but compute-1 still has it, shut off (migrated): odd runs on compute-2;"
  on compute-1 virsh -q undefine odd
  from=compute-2 to=compute-1
  with -PERSIST_DEST ''
  ends_with_status 0
  [[ $(on compute-1 virsh -rq dominfo odd) =~ Persistent:\ *no ]]
  to=compute-2
  with '' destination_name=even
  ends_with_status 0
  runs_at even compute-2
  verdict_is "Moved: odd runs on compute-2 (as even) and is gone from compute-1;"
}

@test "a change of what the guest sees of its hardware: by its policy, by a hook" {
  idle odd compute-1 memory=32
  run migrun -p change=memory=65536 $with odd compute-2
  stays "Cause the destination's XML changes what the guest sees" "65536 does not match source 32768"
  changed compute-2 hooks/qemu <<'S'
#!/bin/sh
[ "$2" != migrate ] || sed 's/<vcpu[^>]*>1</<vcpu>2</'
S
  run migrun policies/libvirt.lua odd compute-2
  stays "vCPU max 2 does not match source 1" "or the hook /etc/libvirt/hooks/qemu on compute-2"
}

@test "a hook there that says no: as the guest is announced, and once its QEMU has started" {
  idle odd compute-1
  for when in migrate started; do
    changed compute-2 hooks/qemu <<<"#!/bin/sh
[ \"\$2\" != $when ] || { echo no room on floor 3 >&2; exit 1; }"
    run migrun policies/libvirt.lua odd compute-2
    stays "Cause the hook /etc/libvirt/hooks/qemu on compute-2 said no" "no room on floor 3"
  done
}

# ---- the way ----

@test "the port that its memory arrives on: all taken, root's, another host's" {
  idle odd compute-1
  changed compute-2 qemu.conf 'migration_port_min = 49300' 'migration_port_max = 49301'
  on compute-2 sh -c "perl -MIO::Socket::INET -e '@s = map { IO::Socket::INET->new(LocalPort => \$_,
    Listen => 1) or die } 49300, 49301; sleep 600' >/dev/null 2>&1 3>&- & echo \$! >/run/cases-ports"
  await 10 eval "on compute-2 ss -Hltn 'sport = :49301' | grep -q ."
  run migrun policies/libvirt.lua odd compute-2
  stays "Cause compute-2 has no free migration port" "(49300-49301)" "widen migration_port_min"
  with '' migrate_uri=tcp://compute-2:80
  stays "may not listen on the port" "those below 1024 are root's"
  with '' 'listen_address=192.0.2.7;migrate_uri=tcp://compute-2:49999'
  stays "told to receive the guest on an address that is not compute-2's" "the policy's listen_address"
  with '' migrate_uri=foo://compute-2
  stays "unsupported scheme foo"
  with '' migrate_uri=tcp://nowhere.invalid:49999
  stays "compute-1 cannot resolve the name nowhere.invalid"
}

@test "two hosts of one uuid" {
  local host
  idle odd compute-1
  for host in $(computes); do
    changed "$host" libvirtd.conf 'host_uuid = "11111111-2222-3333-4444-555555555556"'
  done
  run migrun policies/libvirt.lua odd compute-2
  stays "Cause both names lead to one host, or both hosts have one uuid" "host_uuid in libvirtd.conf"
}

@test "TLS asked for, or forced by one side, and no certificate" {
  idle odd compute-1
  with TLS ''
  stays "QEMU on compute-2 cannot read its certificate or key (/etc/pki/qemu/ca-cert.pem)" "prepare-host.lua"
  changed compute-1 qemu.conf 'migrate_tls_force = 1'
  run migrun policies/libvirt.lua odd compute-2          # one whose checks are asked
  ends_with_status 2
  says "certificates of QEMU           NO: /etc/pki/qemu/ca-cert.pem is not on compute-2"
  run migrun policies/libvirt.lua -p i_know=transport odd compute-2
  stays "cannot read its certificate or key" "prepare-host.lua"
}

@test "flags and parameters that exclude each other, or are too much: the guest stays" {
  idle odd compute-1
  with PARALLEL parallel.connections=256
  stays "QEMU takes 1 to 255 parallel connections"
  with '' parallel.connections=2
  stays "Turn parallel migration on to tune it"
  with PARALLEL,ZEROCOPY,COMPRESSED compression=xbzrle
  stays "zero copy goes with parallel connections alone"
  with POSTCOPY,-LIVE ''
  stays "post-copy migration is not supported with non-live"
  with POSTCOPY,TUNNELLED ''
  stays "exclude each other"
  with OFFLINE ''
  ends_with_status 1
  says "the flag OFFLINE moves a definition, not a guest"
  with -PEER2PEER ''
  ends_with_status 1
  says "a migration needs the flag PEER2PEER"
}

@test "tunnelled, compressed, in parallel, with auto-converge, not live" {
  local how
  idle odd compute-1
  for how in TUNNELLED: COMPRESSED:compression=xbzrle\;compression.xbzrle.cache=1048576 \
    PARALLEL,AUTO_CONVERGE:parallel.connections=2 -LIVE:; do
    with "${how%%:*}" "${how#*:}"
    ends_with_status 0
    stands odd "$from"
  done
}

@test "a guest there and a guest back, at once" {
  local pids
  idle odd compute-1
  idle even compute-2
  migrun -q policies/libvirt.lua even compute-1 >/dev/null 2>&1 3>&- & pids=$!
  moves
  wait $pids
  stands even compute-1
}

# ---- storage that is copied ----

@test "disks that are copied: as long as here, or the guest stays" {
  local host
  for host in $(computes); do on "$host" mkdir -p /var/tmp/cases; done
  on compute-1 sh -c 'head -c 4M /dev/urandom >/var/tmp/cases/own'
  idle odd compute-1 "devices=<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>
    <source file='/var/tmp/cases/own'/><target dev='vdb' bus='virtio'/></disk>"
  with NON_SHARED_DISK migrate_disks=vdb
  stays "libvirt on compute-2 makes the image of a disk that is copied only in a storage pool" "qemu-img"
  on compute-2 truncate -s 2M /var/tmp/cases/own
  with NON_SHARED_DISK migrate_disks=vdb
  stays "Cause the disk on compute-2 is not as large as on compute-1"
  on compute-2 truncate -s 4M /var/tmp/cases/own
  with NON_SHARED_DISK migrate_disks=vdb
  ends_with_status 0
  stands odd compute-2
  cmp <(on compute-1 cat /var/tmp/cases/own) <(on compute-2 cat /var/tmp/cases/own)
}

# ---- somebody while it moves ----

@test "somebody aborts its migration, after questions; migrun stands still meanwhile" {
  slow
  creep
  for question in 'domblkinfo slow vda' 'dommemstat slow' 'domstats slow'; do
    on "$from" timeout 10 virsh -rq $question
  done
  on controller pkill -STOP -xo migrun
  sleep 1
  on "$from" virsh -q domjobabort slow
  on controller pkill -CONT -xo migrun
  finish
  ends_with_status 3
  verdict_is "Not moved: slow runs on $from as before"
  says "canceled by client"
  stands slow "$from"
  loses_nothing slow
}

# libvirt lets the guest run on there, whoever suspended it meanwhile; it need not.
@test "somebody suspends it while it moves: the verdict says how it is" {
  slow
  begin -p with=bandwidth=20 $with slow "$to"
  await 30 is_moving slow
  on "$from" virsh -q suspend slow
  finish
  case $(domain_state slow "$to") in
    running) ends_with_status 0; verdict_is "Moved: slow runs on $to and is gone from $from;" ;;
    paused)
      ends_with_status 4
      verdict_is "Moved, but slow stands paused on $to (user)"
      on "$to" virsh -q resume slow ;;
    *) fail "slow is $(domain_state slow "$to") on $to" ;;
  esac
  loses_nothing slow
}

@test "somebody destroys it at the destination while it moves" {
  slow
  creep
  on "$to" virsh -q destroy slow
  finish
  ends_with_status 3
  verdict_is "Not moved: slow runs on $from as before"
  loses_nothing slow
}

@test "somebody resets it, and moves its limits: it moves" {
  slow
  begin -p with=bandwidth=4 $with slow "$to"
  await 30 is_moving slow
  on "$from" virsh -q qemu-monitor-command slow --hmp system_reset
  on "$from" virsh -q migrate-setmaxdowntime slow 900
  on "$from" virsh -q migrate-setspeed slow 500
  finish
  ends_with_status 0
  stands slow "$to"
}

# ---- post-copy ----

in_post_copy() { [[ $(on "$from" virsh -rq domstate --reason slow) == "paused (post-copy)" ]]; }
# begins_post_copy [MiB/s]: slow runs at the destination, and its memory follows.
begins_post_copy() {
  slow
  begin -p flags=POSTCOPY -p "with=bandwidth=20;bandwidth.postcopy=${1:-1}" $with slow "$to"
  await 30 is_moving slow
  on "$from" virsh -q migrate-postcopy slow
  await 10 in_post_copy
}

@test "post-copy: an interrupt comes too late, and it has moved" {
  begins_post_copy 30
  interrupt
  finish
  ends_with_status 0
  says "It is too late to stop"
  verdict_is "Moved: slow runs on $to and is gone from $from;"
  stands slow "$to"
  loses_nothing slow
}

@test "post-copy: its QEMU there dies, and the guest with it: in doubt, what to do, and recover ends" {
  begins_post_copy
  on "$to" kill -9 "$(qemu_pid slow "$to")"
  local began=$SECONDS
  finish
  ends_with_status 5
  verdict_is "In doubt: where slow runs is not certain ($from: paused (post-copy failed), a QEMU process, "
  flat=$(tr -s ' \n' ' ' <<<"$output")
  [[ $flat == *"its memory on $to is gone with its QEMU, so nothing can continue it"* ]] || fail "$output"
  says_not "the migration still runs"
  says_not "can join the halves"
  ((SECONDS - began < 300)) || fail "it took $((SECONDS - began)) s to say so"
  on "$from" virsh -q destroy slow
  run migrun recover
  ends_with_status 3
  verdict_is "Not moved: slow was destroyed on $from meanwhile (destroyed)"
}
