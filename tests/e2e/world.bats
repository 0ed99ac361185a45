# SPDX-License-Identifier: MIT
# The fake world of the fault sweep (tests/world) against the real one.
load helper

teardown_file() { forget instance-00000001; }

@test "the same procedures have the same effects and the same verdicts in both worlds" {
  [[ -x $SWEEP ]] || fail "SWEEP names the sweep's program: make check sees to it"
  run env COMPARE=1 "$checkout/tests/lab/sweep"
  echo "$output" | sed 's/^/# /' >&3
  ends_with_status 0
  says "status-xml.lua"
}
