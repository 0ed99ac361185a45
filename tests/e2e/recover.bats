# SPDX-License-Identifier: MIT
# Runs that are cut off, and what is left of them: nothing (at random moments: moments.bats). MANY says how
# many guests move at once: few in `make check`, 20 in `make sweep`.
load helper

setup() { prepare; }
teardown_file() { forget cut; }
prepare() {
  ensure cut compute-1 memory=96 listen=own
  pid=$(qemu_pid cut compute-1)
  for host in compute-1 compute-2; do
    on "$host" sh -c 'rm -f /etc/cut-new; printf "as it was\n" >/etc/cut; chmod 640 /etc/cut;
      chown 1:2 /etc/cut'
  done
}
teardown() {
  on controller pkill -KILL -x migrun || true
  lab link compute-2 up
  bounded -q recover || true
  for host in compute-1 compute-2; do on "$host" rm -f /etc/cut /etc/cut-new; done
}

bounded() { timeout $at_most "$checkout/tests/lab/lab" exec controller migrun "$@" </dev/null; }
# begins POLICY … : in the background, until the step that it waits in (policies/cut.lua) has begun.
begins() { bounded --json "$@" >"$BATS_TEST_TMPDIR/run" 2>&1 3>&- & run_pid=$!; }
reaches() { await 30 grep -q "$1" "$BATS_TEST_TMPDIR/run"; }
kill_migrun() { on controller pkill -"$1" -x -o migrun; }
ended() { wait "$run_pid" || true; }
claims() { on "$1" ls -A /var/lib/migrun/claims 2>/dev/null; }
as_before() {  # the guest, its process, the files, the claims
  runs_at cut compute-1 && gone_from cut compute-2 || fail "the guest is not where it was"
  [[ $(qemu_pid cut compute-1) == "$pid" ]] || fail "it is another process"
  for host in compute-1 compute-2; do
    [[ $(on "$host" sh -c 'cat /etc/cut; stat -c %a:%u:%g /etc/cut') == $'as it was\n640:1:2' ]] ||
      fail "/etc/cut on $host is not as it was"
    ! on "$host" test -e /etc/cut-new || fail "/etc/cut-new is left on $host"
    [[ -z $(claims "$host") ]] || fail "a claim is left on $host"
  done
}
moved() {
  runs_at cut compute-2 && gone_from cut compute-1 || fail "the guest has not moved"
  [[ -z $(claims compute-1)$(claims compute-2) ]] || fail "a claim is left"
}

# The world, but for what every client of libvirtd leaves in its log, and migrun's own folder in /run while it
# ran.
seen() { world_snapshot | grep -vE '/libvirtd.log |^controller /run folder \. '; }

@test "killed while it prepares: others are kept away, recover undoes it, twice does no harm" {
  begins -p wait=prepare tests/e2e/policies/cut.lua cut compute-2
  reaches '"title":"wait","index":[0-9]*,"status":"start"'
  kill_migrun KILL; ended
  run migrun history
  says "unfinished"
  run migrun policies/libvirt.lua cut compute-2
  ends_with_status 2
  says "has claimed"
  says "migrun recover"
  seen >"$BATS_TEST_TMPDIR/before"
  run migrun recover --dry-run
  ends_with_status 3       # as the recovery will
  says "Would end as not moved: 6 changes would be undone."
  diff "$BATS_TEST_TMPDIR/before" <(seen) >&2
  run migrun recover
  ends_with_status 3
  says "Not moved: cut runs on compute-1 as before; 6 changes undone."
  as_before
  run migrun recover
  ends_with_status 0
  says "Nothing to recover"
  as_before
}

@test "killed while the guest moves: libvirt goes on, recover follows it and finishes" {
  begins -p wait=migrate tests/e2e/policies/cut.lua cut compute-2
  reaches '"type":"progress"'
  kill_migrun KILL; ended
  run bounded recover
  ends_with_status 0
  says "Moved: cut runs on compute-2 and is gone from compute-1"
  moved
}

@test "the controller loses power while the guest moves" {
  begins -p wait=migrate tests/e2e/policies/cut.lua cut compute-2
  reaches '"type":"progress"'
  lab crash controller; ended
  lab start controller 3>&-
  run bounded recover
  ends_with_status 0
  moved
}

@test "the controller is gone for good: another ends the run from what the hosts keep" {
  begins --state /tmp/gone -p wait=prepare tests/e2e/policies/cut.lua cut compute-2
  reaches '"title":"wait","index":[0-9]*,"status":"start"'
  kill_migrun KILL; ended
  log_out
  run migrun recover -n --host compute-2
  ends_with_status 3
  ! on controller pgrep -f -- '-S /run/migrun-ssh/' || fail "a preview leaves a login"
  run migrun recover --host compute-2
  ends_with_status 1
  says "changes would be undone"
  says "--yes"
  run migrun recover --host compute-2 --yes
  ends_with_status 3
  as_before
}

@test "a host whose root is an enemy orders no other host, and not the controller" {
  local run=20260101-000000-abc host=compute-1 kept=/var/lib/migrun/kept claims=/var/lib/migrun/claims on
  for on in controller localhost compute-2 nowhere; do
    on $host sh -s <<S
      mkdir -p -m 700 $claims $kept $kept/$run
      echo '{"run":"$run","instance":"","name":"g","by":"root on old","since":1764000000.0,
        "exclusive":true}' >$claims/$run.json
      echo '{"kind":"command","host":"$on","target":"x","before":{},"after":{"argv":["true"],
        "undo":["touch","/root/obeyed"]},"step":"s"}' >$kept/$run/1.note
S
    for option in -n --yes; do
      run migrun recover $option --host $host
      ends_with_status 5
      says "refusing what $host keeps of run $run"
    done
  done
  for on in controller compute-1 compute-2; do
    ! on "$on" test -e /root/obeyed || fail "$on obeyed"
  done
  run migrun policies/libvirt.lua cut compute-2
  ends_with_status 2
  says "migrun recover --host $host"
  on $host rm -rf $kept/$run $claims/$run.json
}

@test "a journal that cannot be written: nothing is begun" {
  on controller sh -c 'mkdir -p /tmp/tiny; mount -t tmpfs -o size=64k tmpfs /tmp/tiny;
    head -c 65536 /dev/zero >/tmp/tiny/full; true' 2>/dev/null
  run migrun --state /tmp/tiny policies/libvirt.lua cut compute-2
  ends_with_status 2
  says "No space left on device"
  on controller sh -c 'rm /tmp/tiny/full; mount -o remount,ro /tmp/tiny'
  run migrun --state /tmp/tiny policies/libvirt.lua cut compute-2
  ends_with_status 2
  says "Read-only file system"
  on controller umount /tmp/tiny
  as_before
}

@test "the disk gets full in the middle: it stops and undoes" {
  on controller sh -c 'mkdir -p /tmp/tiny; mount -t tmpfs -o size=256k tmpfs /tmp/tiny'
  begins --state /tmp/tiny -p wait=prepare -p seconds=12 tests/e2e/policies/cut.lua cut compute-2
  reaches '"title":"wait","index":[0-9]*,"status":"start"'
  on controller sh -c 'head -c 300000 /dev/zero >/tmp/tiny/full; true' 2>/dev/null
  ended
  grep -q "No space left on device" "$BATS_TEST_TMPDIR/run"
  grep -q '"outcome":"not_moved"' "$BATS_TEST_TMPDIR/run"
  on controller umount /tmp/tiny
  as_before
}

@test "its ssh connections are cut, its agents killed: it connects again and finishes" {
  begins -p wait=migrate tests/e2e/policies/cut.lua cut compute-2
  reaches '"type":"progress"'
  on compute-1 pkill -KILL -f '^sshd(-session)?: root@notty'
  on compute-2 pkill -KILL -x migrun-agent
  wait "$run_pid"
  moved
}

@test "a libvirtd is restarted under the migration: the guest is where the verdict says" {
  for host in compute-1 compute-2; do
    prepare
    begins -p wait=migrate tests/e2e/policies/cut.lua cut compute-2
    reaches '"type":"progress"'
    on "$host" systemctl restart libvirtd
    status=0; wait "$run_pid" || status=$?
    case $status in 0) moved ;; 3) as_before ;; *) fail "ended with status $status" \
      "$(cat "$BATS_TEST_TMPDIR/run")" ;; esac
  done
}

@test "the network is gone for a while, and for good" {
  begins -p wait=migrate tests/e2e/policies/cut.lua cut compute-2
  reaches '"type":"progress"'
  lab link controller down; sleep 8; lab link controller up
  wait "$run_pid"
  moved
  prepare
  begins -p wait=migrate -p bandwidth=2 tests/e2e/policies/cut.lua cut compute-2
  reaches '"type":"progress"'
  lab link compute-2 down
  status=0; wait "$run_pid" || status=$?
  ((status == 6 || status == 5)) || fail "ended with status $status" "$(cat "$BATS_TEST_TMPDIR/run")"
  lab link compute-2 up
  run bounded recover "$(on controller ls /var/lib/migrun/runs | tail -n 1)"
  ends_with_status 3
  as_before
}

@test "Ctrl-C: the first undoes, the second says what is left, the third leaves at once" {
  begins -p wait=prepare tests/e2e/policies/cut.lua cut compute-2
  reaches '"title":"wait","index":[0-9]*,"status":"start"'
  kill_migrun INT
  status=0; wait "$run_pid" || status=$?
  ((status == 130)) || fail "ended with status $status"
  as_before
  begins -p wait=prepare tests/e2e/policies/cut.lua cut compute-2
  reaches '"title":"wait","index":[0-9]*,"status":"start"'
  # All three at once; nsenter stops with whom it waits for, and is not told when that one goes on.
  on controller bash -c \
    'p=$(pgrep -x -o migrun); kill -STOP $p; kill -INT $p; kill -TERM $p; kill -HUP $p; kill -CONT $p'
  while kill -0 "$run_pid" 2>/dev/null; do pkill -CONT -x nsenter || true; sleep 0.1; done
  status=0; wait "$run_pid" || status=$?
  ((status == 130)) || fail "ended with status $status"
  grep -q "migrun was left at once. What is left to do: migrun recover" "$BATS_TEST_TMPDIR/run"
  run migrun recover
  ends_with_status 3
  as_before
}

@test "two controllers at once: one moves it, the other is told" {
  begins --state /tmp/one -p wait=migrate -p bandwidth=8 tests/e2e/policies/cut.lua cut compute-2
  reaches '"type":"progress"'
  run migrun --state /tmp/two policies/libvirt.lua cut compute-2
  ends_with_status 2
  wait "$run_pid"
  moved
}

@test "many guests at once, between the same two hosts" {
  local n pids=() many
  many=$(seq "${MANY:-6}")
  for n in $many; do fresh "many-$n" compute-1 memory=96 listen=own 3>&- & pids+=($!); done
  wait "${pids[@]}"
  pids=()
  for n in $many; do
    bounded -q policies/libvirt.lua "many-$n" compute-2 >"$BATS_TEST_TMPDIR/many-$n" 2>&1 3>&- & pids+=($!)
  done
  for n in $many; do wait "${pids[n - 1]}" || fail "many-$n" "$(cat "$BATS_TEST_TMPDIR/many-$n")"; done
  for n in $many; do
    runs_at "many-$n" compute-2
    [[ $(lost "many-$n") == 0 ]]
    forget "many-$n"
  done
}

@test "what a run left on hosts goes with its journal" {
  run migrun -q policies/libvirt.lua cut compute-2
  ends_with_status 0
  run migrun history
  says "cut"
  id=$(on controller ls /var/lib/migrun/runs | tail -n 1)
  run migrun show "$id"
  ends_with_status 0
  says "Moved: cut runs on compute-2"
  for host in compute-1 compute-2; do on "$host" ls /var/lib/migrun/kept; done | grep -qx "$id"
  run migrun history --prune 30
  ends_with_status 1
  says "--prune 30 has no unit: 30d are days, 30h hours"
  run migrun history --prune 0s --yes
  ends_with_status 0
  for host in compute-1 compute-2; do
    ! on "$host" ls /var/lib/migrun/kept | grep -x "$id" || fail "it is left on $host"
  done
  run migrun history
  says_not "$id"
}
