# SPDX-License-Identifier: MIT
# Runs that are cut off at moments drawn by a seed, in each of the ways of `cuts`, while a guest moves to and
# fro. After each, and `migrun recover` of what it left, the world must be what the last verdict says. MOMENTS
# says how many: few in `make check`, 50 in `make sweep`. SEED=N draws the moments of an earlier series again.
load helper

teardown_file() { forget cut; }

cuts=(interrupt kill agents-of-source agents-of-dest libvirtd-of-source libvirtd-of-dest)
plain="-p wait=none tests/e2e/policies/cut.lua" slowly="-p wait=migrate tests/e2e/policies/cut.lua"
surgery=policies/status-xml.lua         # after it the guest must be booted anew, which takes its time
procedures=("$plain" "$plain" "$slowly" "$slowly" "$surgery")

# The guest, listening on its host's address alone, as the surgery needs it, and the files that cut.lua
# changes.
lay() {
  local host
  from=compute-1 to=compute-2
  if stands cut "$to" 2>/dev/null; then from=compute-2 to=compute-1; fi
  { stands cut "$from" 2>/dev/null && listens_there_alone; } || fresh cut "$from" memory=96 listen=own
  pid=$(qemu_pid cut "$from")
  for host in $(computes); do
    on "$host" sh -c 'rm -f /etc/cut-new; printf "as it was\n" >/etc/cut; chmod 640 /etc/cut
      chown 1:2 /etc/cut; rm -rf /var/lib/migrun/claims/*'
  done
}
listens_there_alone() {
  on "$from" sh -c 'virsh -r dumpxml cut | grep -q "address=.$(hostname -I | tr -d " ")."'
}

cut_off() {
  case $1 in
    interrupt) on controller pkill -INT -xo migrun ;;
    kill) on controller pkill -KILL -xo migrun ;;
    agents-of-source) on "$from" pkill -KILL -x migrun-agent ;;
    agents-of-dest) on "$to" pkill -KILL -x migrun-agent ;;
    libvirtd-of-source) on "$from" systemctl restart libvirtd ;;
    libvirtd-of-dest) on "$to" systemctl restart libvirtd ;;
  esac
}

# go MS CUT PROCEDURE: migrun, cut off after so many milliseconds; sets status, and during: in which step.
go() {
  # shellcheck disable=SC2086 # its words are the arguments
  on controller env --default-signal=INT timeout -k 5 $at_most migrun --json $3 cut "$to" </dev/null \
    >"$BATS_TEST_TMPDIR/told" 2>"$BATS_TEST_TMPDIR/words" 3>&- &
  sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
  during=$(last title '')
  cut_off "$2" || during="its end"
  status=0; wait $! || status=$?
}
# last MEMBER TEXT: of the last event that holds the text, "" where there is none.
last() {
  grep -F "\"$1\":" "$BATS_TEST_TMPDIR/told" | grep -F -- "$2" | tail -n 1 |
    sed -E "s/.*\"$1\":\"?([^,\"}]*).*/\1/"
}

# The last verdict on the run; one that was killed has none. (That of a recovery is on all of its runs.)
verdict() {
  sed -i '/"outcome":"recovered"/d' "$BATS_TEST_TMPDIR/told"
  outcome=$(last outcome '"type":"verdict"')
}

recover() {
  local id; id=$(last run '"run":"')
  # shellcheck disable=SC2086 # one that was killed may not have told its name yet
  migrun --json recover $id >"$BATS_TEST_TMPDIR/told" 2>>"$BATS_TEST_TMPDIR/words" || true
  verdict
}

# What is not as the verdict has it, a line each.
judge() {
  local at=$from off=$to host text=$'as it was\n640:1:2' new=no
  case $outcome in
    moved | moved_but)
      at=$to off=$from
      [[ $1 != *cut.lua* ]] || text=$'as it was\nchanged\n600:1:2' new=yes ;;
    not_moved | interrupted | refused | '') ;;
    *) echo "the last verdict is $outcome" ;;
  esac
  stands cut "$at" 2>&1 || true
  [[ $(qemus) == "$at 1 $off 0" ]] || echo "QEMU processes: $(qemus)"
  [[ $at != "$from" || $(qemu_pid cut "$from") == "$pid" ]] || echo "it is another process"
  [[ $(lost cut) == 0 ]] || echo "it has lost lines: $(lab ticks cut)"
  for host in $(computes); do
    [[ $(on "$host" sh -c 'cat /etc/cut; stat -c %a:%u:%g /etc/cut') == "$text" ]] ||
      echo "/etc/cut on $host is not as it should be"
    [[ $new == "$(on "$host" test -e /etc/cut-new && echo yes || echo no)" ]] ||
      echo "/etc/cut-new on $host is not as it should be"
    on "$host" sh -s <<'S' | sed "s/^/$host: /"
      ls -A /var/lib/migrun/claims | sed 's/^/a claim is left: /'
      find /etc /run /var/lib /tmp -xdev -name '.migrun-*' | sed 's/^/left: /'
      systemctl is-active -q libvirtd || echo "libvirtd is not active"
      systemctl list-units --plain --no-legend 'migrun*' | sed 's/^/a unit is left: /'
S
  done
}
qemus() {
  local host
  for host in "$at" "$off"; do echo "$host" "$(qemu_pid cut "$host" | wc -l)"; done | paste -sd ' '
}

@test "cut off at random moments: as before, or moved, as the verdict has it" {
  local seed=${SEED:-$(date +%s)} moments=${MOMENTS:-8} n wrong=0 why cut procedure ms first
  local -A takes=() ends=()
  echo "# SEED=$seed MOMENTS=$moments" >&3
  for procedure in "$plain" "$slowly" "$surgery"; do       # how long it takes if nobody cuts it off
    lay
    go 0 nothing "$procedure"
    ends_with_status 0
    takes[$procedure]=$(last seconds '"type":"verdict"' | awk '{ print int($1 * 1000) }')
  done
  RANDOM=$seed
  for ((n = 1; n <= moments; n++)); do
    cut=${cuts[RANDOM % ${#cuts[@]}]} procedure=${procedures[RANDOM % ${#procedures[@]}]}
    ms=$((RANDOM % 1000 * takes[$procedure] / 1000))
    lay
    go "$ms" "$cut" "$procedure"
    verdict
    first=${outcome:-killed}\ \($status\)
    [[ $cut == interrupt ]] || case $status in 4 | 5 | 6 | 137) recover ;; esac
    why=$(judge "$procedure")
    [[ $cut != interrupt || $status == 0 || $status == 130 ]] || why+=" it ended with status $status"
    [[ $cut != libvirtd-* || $first != moved_but* ]] || why+=" it has moved, and libvirtd is back: $first"
    ((ends[$cut, $first] += 1))
    echo "# $n: $cut at $ms of ${takes[$procedure]} ms of ${procedure##*/}, during '$during':" \
      "$first, then ${outcome:-nothing to recover}" >&3
    [[ -n $why ]] || continue
    ((wrong += 1))
    printf '%s\n' "moment $n of SEED=$seed: $procedure to $to, $cut during '$during'" "$why" \
      "$(cat "$BATS_TEST_TMPDIR"/words "$BATS_TEST_TMPDIR"/told)" >&2
    forget cut
  done
  for first in "${!ends[@]}"; do echo "# $first: ${ends[$first]}"; done | sort >&3
  echo "# wrong: $wrong" >&3
  ((wrong == 0))
}
