# SPDX-License-Identifier: MIT
# What fails is undone, and the guest lives on where it was.
load helper

setup() {
  lay_out
  for host in $(computes); do laid_out "$host" >"$BATS_TEST_TMPDIR/$host"; done
}

# What a failed test may have left.
teardown() {
  while begun_pid >/dev/null; do interrupt KILL; done
  migrun -q recover >/dev/null 2>&1 || true
}

is_undone() {
  for host in $(computes); do
    laid_out "$host" | diff "$BATS_TEST_TMPDIR/$host" - >&2 || fail "something is changed on $host"
  done
}

is_as_before() {
  stands slow "$from"
  on "$from" virsh -rq domjobinfo slow | grep -q 'Job type: *None' || fail "its job goes on"
  ! qemu_pid slow "$to" || fail "its QEMU is left on $to"
  loses_nothing slow
}
moves_after_all() {
  run migrun policies/libvirt.lua slow "$to"
  ends_with_status 0
  stands slow "$to"
  loses_nothing slow
}
leaves() { interrupt; ! begun_pid; }       # by one signal after the other
teardown_file() { forget slow; forget still; }

# ---- before the migration ----

@test "a prepare step fails: every effect before it is undone, byte for byte" {
  idle still compute-1
  run migrun -p fail=true tests/e2e/policies/effects.lua still compute-2
  ends_with_status 3
  verdict_is "Not moved: still runs on compute-1 as before; [0-9]* changes undone."
  says "the moon is full"
  says "Stays"
  is_undone
  stands still compute-1
}

@test "suspended or destroyed while it prepares, and a step fails: not moved, and how it is" {
  idle other compute-1
  run migrun -p early=true tests/e2e/policies/somebody.lua other compute-2
  ends_with_status 3
  verdict_is "Not moved: other is paused (user) on compute-1; nothing had to be undone."
  on compute-1 virsh -q resume other
  run migrun -p early=true -p does=destroy tests/e2e/policies/somebody.lua other compute-2
  ends_with_status 3
  verdict_is "Not moved: other is shut off (destroyed) on compute-1; "
  forget other
}

@test "what somebody else changed meanwhile is left as it is, and named" {
  idle still compute-1
  begin tests/e2e/policies/waits.lua still compute-2
  await 20 on compute-2 pgrep -f '^sh -c until'
  on compute-2 sh -c 'echo theirs >/etc/e2e/text; touch /run/e2e-go'
  finish
  ends_with_status 6
  local text="Not moved, and 1 thing could not be put back: still runs on compute-1; [0-9]* changes\\? "
  text+="undone."
  verdict_is "$text"
  says "/etc/e2e/text on compute-2: somebody else changed it since, so it was left as it is"
  [[ $(on compute-2 cat /etc/e2e/text) == theirs ]]
  original=$(grep -o '/var/lib/migrun/kept/[^ )]*' <<<"$output")
  cmp <(on compute-2 cat "$original") <(printf 'one\nno newline at its end')
  laid_out compute-1 | diff "$BATS_TEST_TMPDIR/compute-1" - || fail "something is changed on compute-1"
  stands still compute-1
}

@test "interrupted in a long command: it ends, and what was made is undone" {
  idle still compute-1
  begin tests/e2e/policies/waits.lua still compute-2
  await 20 on compute-2 pgrep -f '^sh -c until'
  interrupt
  finish
  ends_with_status 130
  verdict_is "Interrupted: still runs on compute-1 as before; [0-9]* changes undone."
  is_undone
  ! on compute-2 pgrep -f '^sh -c until' || fail "the command goes on"
  stands still compute-1
}

@test "an agent that is killed in a call: the other host's change is undone, and what is not is named" {
  idle still compute-1
  begin tests/e2e/policies/waits.lua still compute-2
  await 20 on compute-2 pgrep -f '^sh -c until'
  on compute-2 kill -9 "$(on compute-2 pgrep -x migrun-agent)"
  finish
  says "the connection to compute-2 broke"
  laid_out compute-1 | diff "$BATS_TEST_TMPDIR/compute-1" - || fail "something is changed on compute-1"
  if laid_out compute-2 | cmp -s "$BATS_TEST_TMPDIR/compute-2" -; then
    ends_with_status 3
  else
    ends_with_status 6
    says "/etc/e2e/text on compute-2"
    original=$(grep -o '/var/lib/migrun/kept/[^ )]*' <<<"$output")
    cmp <(on compute-2 cat "$original") <(printf 'one\nno newline at its end')
  fi
  await 10 eval '! on compute-2 pgrep -f "^sh -c until"'
  stands still compute-1
}

# ---- mistakes in a policy that nothing finds beforehand ----

@test "a mistake in a check: nothing is touched; in a step after a change: it is undone" {
  idle still compute-1
  run migrun tests/e2e/policies/bug.lua still compute-2
  ends_with_status 1
  local text="Refused, nothing was touched: the policy has a mistake: tests/e2e/policies/bug.lua:3: attempt "
  text+="to index a nil value"
  verdict_is "$text"
  run migrun -p at=later tests/e2e/policies/bug.lua still compute-2
  ends_with_status 3
  verdict_is "Not moved: still runs on compute-1 as before; 1 change undone."
  says "tests/e2e/policies/bug.lua:3: attempt to index a nil value"
  is_undone
  stands still compute-1
}

@test "Lua that does not end is ended by a signal, inside pcall too" {
  idle still compute-1
  for way in plain caught sorted; do
    begin -p how=$way tests/e2e/policies/endless.lua still compute-2
    await 20 so_far "it begins"
    interrupt
    finish
    ends_with_status 130
    verdict_is "Interrupted: nothing was touched."
  done
  for signal in INT TERM HUP; do
    begin -p how=caught -p later=true tests/e2e/policies/endless.lua still compute-2
    await 20 so_far "it begins"
    interrupt $signal
    finish
    ends_with_status 130
    verdict_is "Interrupted: still runs on compute-1 as before; 1 change undone."
    is_undone
  done
  stands still compute-1
}

@test "a pattern that does not end: the third signal leaves, and recover undoes" {
  idle still compute-1
  begin -p how=pattern -p later=true tests/e2e/policies/endless.lua still compute-2
  await 20 so_far "it begins"
  await 10 leaves
  finish
  says "migrun was left at once. What is left to do: migrun recover "
  run migrun recover
  ends_with_status 3
  is_undone
  stands still compute-1
}

# ---- the migration ----

@test "no address there to listen on: the cause is the line of the log where it stands" {
  slow
  run migrun tests/e2e/policies/as-it-is.lua slow "$to"
  ends_with_status 3
  verdict_is "Not moved: slow runs on $from as before"
  says "QEMU on $to could not listen on $(on "$from" hostname -I | tr -d " ")"
  says "Remedy"
  [[ $output =~ $to:(/var/log/libvirt/qemu/slow.log):([0-9]+) ]]
  on "$to" sed -n "${BASH_REMATCH[2]}p" "${BASH_REMATCH[1]}" |
    grep "Failed to bind socket: Cannot assign requested address"
  is_as_before
}

@test "the destination's QEMU dies: the guest runs on, and moves the next time" {
  slow
  creep
  on "$to" kill -9 "$(qemu_pid slow "$to")"
  finish
  ends_with_status 3
  verdict_is "Not moved: slow runs on $from as before"
  says "Cause"
  is_as_before
  moves_after_all
}

@test "interrupted while it moves: aborted, and it moves the next time; meanwhile nobody else may" {
  slow
  creep
  run migrun policies/libvirt.lua slow "$to"
  ends_with_status 2
  says "Refused, nothing was touched"
  interrupt
  finish
  ends_with_status 130
  says "Stopping: aborting the migration (the guest stays on $from)"
  verdict_is "Interrupted: slow runs on $from as before"
  is_as_before
  moves_after_all
}

@test "not done in its time: aborted" {
  slow
  run migrun --timeout 6s -p bandwidth=1 policies/libvirt.lua slow "$to"
  ends_with_status 3
  verdict_is "Not moved: slow runs on $from as before"
  says "not done after 6.0 s (--timeout), so the migration was aborted"
  is_as_before
}

# ---- after it ----

@test "a fix-up fails: moved, but; the others run" {
  idle still compute-1 listen=$net.11
  run migrun tests/e2e/policies/fixup-fails.lua still compute-2
  ends_with_status 4
  verdict_is "Moved, but 1 fix-up failed: still runs on compute-2 and is gone from compute-1"
  says "out of ink"
  [[ $(on compute-2 cat /etc/e2e/note) == moved ]]
  stands still compute-2
}

@test "a mistake in a fix-up: moved, but" {
  idle still compute-1
  run migrun -p at=fixup tests/e2e/policies/bug.lua still compute-2
  ends_with_status 4
  verdict_is "Moved, but 1 fix-up failed: still runs on compute-2"
  says "bug.lua:3: attempt to index a nil value"
  stands still compute-2
}

@test "suspended or destroyed there while the fix-ups run: moved, but" {
  idle other compute-1
  run migrun tests/e2e/policies/somebody.lua other compute-2
  ends_with_status 4
  says "Moved, but other stands paused on compute-2 (user)"
  on compute-2 virsh -q resume other
  run migrun -p does=destroy tests/e2e/policies/somebody.lua other compute-1
  ends_with_status 4
  says "Moved, but other was destroyed on compute-1 meanwhile (destroyed)"
  forget other
}
