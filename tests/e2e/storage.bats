# SPDX-License-Identifier: MIT
# Storage that libvirt does not know for shared, consoles written by QEMU, libvirtd started by its sockets: a
# lab of its own.
export LAB=/run/migrun-lab-2 LAB_NET=10.87.0 LAB_BRIDGE=mrlab2
load helper

setup_file() {
  lab up storage=plain console=file libvirtd=sockets
  lab boot plain compute-1 memory=96 kernel=inside listen=own
}
teardown_file() { lab down; }

# Where it is after an earlier test, and where it is to go.
setup() {
  from=compute-1 to=compute-2
  if runs_at plain compute-2; then from=compute-2 to=compute-1; fi
}
owners() { stat -c %U:%G "$LAB"/instances/plain/{disk,console.log,kernel,ramdisk} | sort -u; }
owned_right() { [[ $(owners) == libvirt-qemu:libvirt-qemu ]] || fail "owners: $(owners)"; }
is_as_before() {
  stands plain "$from"
  ! qemu_pid plain "$to" || fail "its QEMU is left on $to"
  owned_right
  loses_nothing plain
}
creep() { begin -p bandwidth=5 -p i_know=unsafe policies/libvirt.lua plain "$to"; await 30 is_moving; }
is_moving() {
  on "$from" virsh -q domjobinfo plain | grep -q 'Memory processed: *[1-9]' && qemu_pid plain "$to"
}

@test "libvirt would call it unsafe: that is known before, and the way out is named" {
  owned_right
  run migrun policies/libvirt.lua plain "$to"
  ends_with_status 2
  verdict_is "Refused, nothing was touched: 1 of 18 checks says no (libvirt calls it safe)"
  says "which libvirt does not recognize as shared storage"
  says "-p i_know=unsafe"
  is_as_before
}

@test "-p i_know=unsafe moves it, and its files are given back: there and back" {
  for host in "$to" "$from"; do
    run migrun -p i_know=unsafe policies/libvirt.lua plain "$host"
    ends_with_status 0
    verdict_is "Moved: plain runs on $host"
    for file in disk console.log kernel ramdisk; do says "$file root:root → libvirt-qemu"; done
    says "files owned right"
    owned_right
    stands plain "$host"
    loses_nothing plain
  done
}

@test "libvirtd sleeps until its socket wakes it" {
  for host in $(computes); do on "$host" systemctl stop libvirtd.service 2>/dev/null; done
  [[ $(on "$to" systemctl is-active libvirtd) == inactive ]]
  run migrun -n -p i_know=unsafe policies/libvirt.lua plain "$to"
  ends_with_status 0
  for host in $(computes); do on "$host" systemctl stop libvirtd.service 2>/dev/null; done
  run migrun -p i_know=unsafe policies/libvirt.lua plain "$to"
  ends_with_status 0
  stands plain "$to"
  owned_right
  loses_nothing plain
}

@test "surgery: its sockets are stopped too, so that no client wakes libvirtd in the middle of it" {
  qemu=$(qemu_pid plain "$from")
  begin --source "$from" -p way=waits tests/e2e/policies/surgery.lua plain
  await 60 on "$from" test -e /run/e2e-in-surgery
  run on "$from" timeout 10 virsh -q list
  ((status != 0)) || fail "libvirtd was woken: $output"
  [[ $(on "$from" systemctl is-active libvirtd.service) == inactive ]]
  on "$from" rm /run/e2e-in-surgery
  finish
  ends_with_status 0
  for unit in libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket; do
    [[ $(on "$from" systemctl is-active $unit) == active ]]
  done
  [[ $(qemu_pid plain "$from") == "$qemu" ]]
  stands plain "$from"
  loses_nothing plain
}

@test "its QEMU there dies while it moves: what libvirt took from the guest at the source is given back" {
  creep
  on "$to" kill -9 "$(qemu_pid plain "$to")"
  finish
  ends_with_status 3
  verdict_is "Not moved: plain runs on $from as before"
  is_as_before
}

@test "interrupted while it moves: its files are its own" {
  creep
  interrupt
  finish
  ends_with_status 130
  verdict_is "Interrupted: plain runs on $from as before"
  is_as_before
}
