# SPDX-License-Identifier: MIT
# A preview changes nothing, and shows everything.
load helper

# What libvirt keeps of QEMU's abilities, it learns when it is asked first.
setup_file() { for host in $(computes); do on "$host" virsh -q domcapabilities >/dev/null; done; }
setup() { idle still compute-1 listen=$net.11; lay_out; world_snapshot >"$BATS_TEST_TMPDIR/world"; }
teardown() { unchanged "$BATS_TEST_TMPDIR/world"; }
teardown_file() { forget still; }

@test "policies/libvirt.lua" {
  run migrun --dry-run policies/libvirt.lua still compute-2
  ends_with_status 0
  [[ ${lines[0]} == "Preview: nothing is changed. still (32 MiB, 1 vCPU) from compute-1 to compute-2, "\
"by policies/libvirt.lua" ]]
  says "-    <graphics type='vnc' port='-1' autoport='yes' listen='$net.11'>"
  says "+    <graphics type='vnc' port='-1' autoport='yes' listen='$net.12'>"
  says "disk → libvirt-qemu"
  verdict_is "Would move still to compute-2: 18 checks passed, 1 with a warning (hosts reach each other),"
  says "1 change. Run it without --dry-run."
}

@test "a site's policy: a change that is for the time of the move is shown as such" {
  run migrun -n examples/drain.lua still compute-2
  ends_with_status 0
  says "/run/migrun-drain on compute-2   create (undone at the end)"
  says "+still comes from compute-1: maintenance"
  verdict_is "Would move still to compute-2: 5 checks passed, 2 changes."
}

@test "a policy that moves nothing" {
  chown root:root "$LAB/instances/$(uuid_of still)/disk"
  world_snapshot >"$BATS_TEST_TMPDIR/world"
  run migrun -n policies/fix-ownership.lua still
  ends_with_status 0
  says "disk root:root → libvirt-qemu"
  verdict_is "Would make 1 change"
  unchanged "$BATS_TEST_TMPDIR/world"
}

@test "it ends with the status that the run would end with" {
  run migrun -n tests/e2e/policies/stops.lua still compute-2
  ends_with_status 3
  verdict_is "Would stop after 1 change: compute-1: /nowhere/at/all: No such file or directory"
  run migrun tests/e2e/policies/stops.lua still compute-2
  ends_with_status 3
  world_snapshot >"$BATS_TEST_TMPDIR/world"       # with what that run keeps
  run migrun -n -p way=fixup tests/e2e/policies/stops.lua still compute-2
  ends_with_status 4
  verdict_is "Would move still to compute-2, but 1 fix-up would fail."
}

@test "every kind of effect is shown" {
  run migrun -n tests/e2e/policies/effects.lua still compute-2
  ends_with_status 0
  for host in $(computes); do
    says "/etc/e2e/text on $host    modify"
    says "/etc/e2e/new on $host     create"
    says "/etc/e2e/owned on $host   root:root → "
    says "/etc/e2e/moded on $host   0604 → 4711"
    says "/etc/e2e/bytes on $host   remove"
    says "e2e-running on $host   active → inactive"
    says "e2e-stopped on $host   inactive → active"
    says "touch /etc/e2e/touched on $host   run (undo: rm /etc/e2e/touched)"
  done
  says "-no newline at its end"
  says "+written"
  says "-written"
  says "+written again"
  says '+<note colour="blue">'
  says "/etc/e2e/note on compute-2"
  verdict_is "Would move still to compute-2: 1 check passed, 24 changes."
  run migrun -n --json tests/e2e/policies/effects.lua still compute-2
  [[ $(grep -c '"type":"effect".*"status":"would"' <<<"$output") == 24 ]]
}

@test "later reads see earlier changes" {
  run migrun -n tests/e2e/policies/see.lua compute-1
  ends_with_status 0
  says "all is as it should be"
}

@test "it exits as the run would" {
  run migrun -n policies/libvirt.lua nobody compute-2
  ends_with_status 2
  run migrun -n policies/libvirt.lua still compute-1
  ends_with_status 2
  run migrun -n -p nothing=1 policies/libvirt.lua still compute-2
  ends_with_status 1
  run migrun -n -p at=check tests/e2e/policies/bug.lua still compute-2
  ends_with_status 1
  run migrun -n policies/libvirt.lua still compute-2
  ends_with_status 0
}

@test "nothing that a policy can try changes anything, in a check or in a preview" {
  run migrun -n tests/e2e/policies/mischief.lua still compute-2
  ends_with_status 0
  ! grep DONE <<<"$output" || fail "something was done in the preview"
  run migrun tests/e2e/policies/mischief.lua still compute-2
  ends_with_status 2
  ! grep DONE <<<"$output" || fail "something was done in the check"
}

@test "the agents of a preview cannot change anything, whoever asks them" {
  begin -n -p how=plain tests/e2e/policies/endless.lua still compute-2
  await 20 so_far "it begins"
  for host in $(computes); do
    agent=$(on "$host" pgrep -x migrun-agent)
    run on "$host" nsenter -t "$agent" -m touch /etc/e2e/text
    ends_with_status 1
    says "Read-only file system"
    on "$host" grep -q 'NoNewPrivs:.*1' "/proc/$agent/status"
  done
  interrupt
  finish
  ends_with_status 130
  verdict_is "Interrupted: nothing was touched."
}
