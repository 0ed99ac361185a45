# SPDX-License-Identifier: MIT
# A step that is for the time of the move: taken back once, at every end.
load helper

setup() {
  lay_out
  on compute-2 rm -f /run/e2e-alarm /run/e2e-maintenance
  idle still compute-1
}
teardown_file() { forget still; }

maintenance_is_over() {
  [[ $(on compute-2 systemctl is-active e2e-running) == active ]] || fail "the service is not started again"
  ! on compute-2 test -e /run/e2e-maintenance || fail "the file is left"
}
alarm_was() {
  diff <(printf '%s\n' "$@") <(on compute-2 cat /run/e2e-alarm) >&2 || fail "the alarm was not: $*"
}

@test "the run ends well: its temporary step is taken back" {
  run migrun tests/e2e/policies/temporary.lua still compute-2
  ends_with_status 0
  verdict_is "Moved: still runs on compute-2"
  says_not "/run/e2e-alarm' on compute-2 (run)"
  stands still compute-2
  maintenance_is_over
  alarm_was silent loud
}

@test "a later step fails: the undo is called once" {
  run migrun -p fail=true tests/e2e/policies/temporary.lua still compute-2
  ends_with_status 3
  verdict_is "Not moved: still runs on compute-1 as before;"
  says "the moon is full"
  says_not "/run/e2e-alarm' on compute-2 (run)"
  stands still compute-1
  maintenance_is_over
  alarm_was silent loud
}

@test "an undo that raises is named in the verdict, and the rest is taken back" {
  run migrun -p fail=true -p broken=true tests/e2e/policies/temporary.lua still compute-2
  ends_with_status 6
  verdict_is "Not moved, and 1 thing could not be put back: still runs on compute-1"
  says "maintenance on compute-1 (taken back by the step's own undo): the alarm's server is away"
  says "echo silent >>/run/e2e-alarm' on compute-2 (run)"
  maintenance_is_over
  alarm_was silent
  run migrun -p broken=true tests/e2e/policies/temporary.lua still compute-2
  ends_with_status 4
  verdict_is "Moved, but"
  says "maintenance on compute-1 (taken back by the step's own undo): the alarm's server is away"
  stands still compute-2
  maintenance_is_over
}

@test "a preview says that it is undone at the end, and touches nothing" {
  run migrun -n tests/e2e/policies/temporary.lua still compute-2
  ends_with_status 0
  grep -q '/run/e2e-maintenance on compute-2  *create (undone at the end)' <<<"$output" || fail "$output"
  says "taken back by the step's own undo (undone at the end)"
  ! on compute-2 test -e /run/e2e-alarm || fail "the alarm was touched"
  maintenance_is_over
}
