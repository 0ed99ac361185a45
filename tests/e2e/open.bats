# SPDX-License-Identifier: MIT
# What migrun does not do yet.
load helper

setup() { idle still compute-1; lay_out; }
teardown() {
  while begun_pid >/dev/null; do interrupt KILL; done
  migrun -q recover >/dev/null 2>&1 || true
}
leaves() { interrupt; ! begun_pid; }       # by one signal after the other
teardown_file() { forget still; }

@test "a command that nothing undoes is not called undone" {
  run migrun -p fail=true tests/e2e/policies/effects.lua still compute-2
  ends_with_status 3
  verdict_is "Not moved: still runs on compute-1 as before; 22 changes undone."
  ! grep '^undone   the last straw' <<<"$output" || fail "it was kept"
}

@test "a change of owner is told in the names that the policy gives" {
  run migrun -n tests/e2e/policies/effects.lua still compute-2
  says "/etc/e2e/owned on compute-1   root:root → nobody:daemon"
}

@test "a mistake that is found only when it is reached: 1 while nothing is touched, in one sentence" {
  for where in check prepare migrate; do
    run migrun -p at=$where tests/e2e/policies/bug.lua still compute-2
    ends_with_status 1
    says "nothing was touched"
    says_not "stack traceback"
  done
}

@test "a pattern that does not end, in a check: the third signal leaves" {
  begin -p how=pattern tests/e2e/policies/endless.lua still compute-2
  await 20 so_far "it begins"
  await 10 leaves
  finish
  ends_with_status 130
}

@test "commands that only read reach no other host and no other process, and leave nothing" {
  world_snapshot >"$BATS_TEST_TMPDIR/world"
  run migrun -n tests/e2e/policies/mischief-of-commands.lua still compute-2
  left=$(on compute-1 sh -c 'pgrep -fx "sleep 1234"; ipcs -m | grep ^0x; true')
  on compute-1 sh -c 'pkill -fx "sleep 1234"; ipcrm --all=shm'
  [[ -z $left ]] || fail "it left: $left"
  ! grep DONE <<<"$output" || fail "something was done"
  unchanged "$BATS_TEST_TMPDIR/world"
}

@test "the source under another name is no second host" {
  on controller sh -c 'echo "$0 other-name" >>/etc/hosts' "$net.11"
  run migrun policies/libvirt.lua still other-name
  on controller sed -i '/other-name/d' /etc/hosts
  ends_with_status 2
  says "the same machine"
}
