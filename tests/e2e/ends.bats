# SPDX-License-Identifier: MIT
# Ends that are certain: the guest is stopped or suspended while it moves, by itself or by somebody.
load helper

setup() { slow; }
teardown() {
  while begun_pid >/dev/null; do interrupt KILL; done
  migrun -q recover >/dev/null 2>&1 || true
  for host in $(computes); do
    on "$host" bash -c 'cd /usr/bin; [[ ! -e qemu.kept ]] || mv qemu.kept qemu-system-x86_64'
  done
  forget slow
}

no_claims() {
  for host in $(computes); do
    [[ -z $(on "$host" ls -A /var/lib/migrun/claims 2>/dev/null) ]] || fail "a claim is left on $host"
  done
}

@test "destroyed while it moves: not moved, and no doubt" {
  creep
  on "$from" virsh -q destroy slow
  finish
  ends_with_status 3
  verdict_is "Not moved: slow was destroyed on $from meanwhile (destroyed)"
  no_claims
}

@test "powered off from inside while it moves: not moved, and no doubt" {
  creep
  on "$from" virsh -q qemu-monitor-command slow --hmp 'sendkey alt-sysrq-o'
  finish
  ends_with_status 3
  verdict_is "Not moved: slow was shut down on $from meanwhile (shutdown)"
  no_claims
}

@test "its QEMU is killed while it moves: not moved, it crashed" {
  creep
  on "$from" kill -9 "$(qemu_pid slow "$from")"
  finish
  ends_with_status 3
  verdict_is "Not moved: slow crashed on $from meanwhile (crashed)"
  no_claims
}

# libvirt lets the guest run on when it aborts a migration, whoever suspended it meanwhile.
@test "suspended by somebody while it moves, then interrupted: the verdict says how it is" {
  creep
  on "$from" virsh -q suspend slow
  interrupt
  finish
  ends_with_status 130
  case $(domain_state slow "$from") in
    paused) verdict_is "Interrupted: slow is paused on $from (user), as somebody left it" ;;
    running) verdict_is "Interrupted: slow runs on $from as before" ;;
    *) fail "slow is $(domain_state slow "$from") on $from" ;;
  esac
  no_claims
}

@test "a run is killed, and the guest destroyed: recover knows the end" {
  creep
  interrupt KILL
  finish
  on "$from" virsh -q destroy slow
  run migrun recover
  ends_with_status 3
  verdict_is "Not moved: slow was destroyed on $from meanwhile (destroyed)"
  no_claims
}

writes() { head -c 1M "$LAB/instances/$1/disk" | grep -qa tick; }

# No room at the destination alone: hosts of the lab share one disk, so a limit on the size of files that QEMU
# may write there stands for it. The guest's first write after the move fails.
@test "an I/O error at the destination: it has moved, and stands paused there" {
  on "$from" bash -c "virsh dumpxml --inactive slow |
    sed \"s/cache='none'/& error_policy='stop'/\" >/tmp/slow.xml
    virsh -q destroy slow; truncate -s 0 $instances/slow/disk; truncate -s 64M $instances/slow/disk
    virsh -q define /tmp/slow.xml; virsh -q start slow"
  await 60 writes slow
  # QEMU 10 makes files of its memory, so the limit comes when that is done and the disk is open.
  on "$to" bash -c 'cd /usr/bin; cp -p qemu-system-x86_64 qemu.kept; cat >qemu-system-x86_64' <<'S'
#!/bin/sh
trap "" XFSZ
(while ! ls -l /proc/$$/fd | grep -q /disk; do [ -e /proc/$$ ] || exit; sleep 0.1; done
sleep 1; prlimit --pid $$ --fsize=512) </dev/null >/dev/null 2>&1 &
exec /usr/bin/qemu.kept "$@"
S
  run migrun -p seconds=3 tests/e2e/policies/stands.lua slow "$to"
  ends_with_status 4
  verdict_is "Moved, but slow stands paused on $to (I/O error)"
  says "virsh resume"
  no_claims
  [[ $(on "$to" virsh -q domstate --reason slow) == "paused (I/O error)" ]]
  gone_from slow "$from" || [[ $(domain_state slow "$from") == "shut off" ]]
}
