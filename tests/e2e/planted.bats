# SPDX-License-Identifier: MIT
# A compute host whose root is hostile plants claims and notes, and the operator recovers from them: nothing
# happens on the controller or on a neighbour, whatever they say.
load helper

setup() { idle still compute-2; }
teardown() {
  on compute-1 rm -rf /var/lib/migrun/kept/20260101-000000-abc "$claims/20260101-000000-abc.json"
}
teardown_file() { forget still; }

claims=/var/lib/migrun/claims
uuid=7eb1c886-6149-66f2-54b6-72643cf6c66c
touches='["sh", "-c", "touch /run/e2e-planted"]'

# What an attempt would change there.
neighbours() {
  local host
  for host in controller compute-2; do
    on "$host" sh -c 'hostname; ls -A /run/e2e-planted /etc/e2e-planted 2>&1
      stat -c "%a %u %g %s %i" /etc/passwd; systemctl show -p ActiveState,MainPID ssh cron
      ls -A /var/lib/migrun/claims; true' 2>/dev/null
  done
  on compute-2 sh -c 'systemctl show -p ActiveState,MainPID libvirtd
    virsh -q list --all --autostart; virsh -q list'
}

# plant CLAIM NOTE: as the members that differ from a claim and a note that are right.
plant() {
  on compute-1 bash -s "$claims" "$1" "$2" <<'S'
    keep=/var/lib/migrun/kept/20260101-000000-abc
    mkdir -pm 700 /var/lib/migrun "$1" /var/lib/migrun/kept "$keep"
    printf '%s' "$2" >"$1/20260101-000000-abc.json"
    printf '%s' "$3" >"$keep/1.note"
    printf '{"path":"/etc/e2e-planted","absent":true}' >"$keep/1.json"
S
}
claim() {  # [MEMBERS]: what is said twice counts as it is said last
  printf '{"run": "20260101-000000-abc", "instance": "%s", "name": "still", "by": "root on away",
    "source": "compute-1", "dest": "compute-2", "since": 1764000000, "exclusive": true %s}' \
    "$uuid" "${1:+, $1}"
}
note() {  # KIND HOST TARGET AFTER [BEFORE]
  printf '{"kind": "%s", "host": "%s", "target": "%s", "before": %s, "after": %s, "step": "a"}' \
    "$1" "$2" "$3" "${5:-{\}}" "$4"
}

# attempt CLAIM NOTE: neither a preview nor the recovery itself, in turn (EVERY=1: both), does anything
# elsewhere.
attempt() {
  local options=(-n --yes) option
  [[ -n ${EVERY:-} ]] || options=("${options[attempts % 2]}")
  ((attempts += 1))
  plant "$1" "$2"
  for option in "${options[@]}"; do
    run migrun recover "$option" --host compute-1
    [[ $output != *traceback* && $status != 1[0-9][0-9] ]] || fail "attempt $attempts: $status" "$output"
    neighbours | diff "$BATS_TEST_TMPDIR/before" - >&2 ||
      fail "attempt $attempts ($option) has reached another host" "$1" "$2" "$output"
  done
}

@test "planted notes reach neither the controller nor a neighbour" {
  local attempts=0 other undo="{\"argv\": [\"true\"], \"undo\": $touches, \"timeout\": 5000}" kind
  neighbours >"$BATS_TEST_TMPDIR/before"
  # A host may harm itself, and so what is planted is understood.
  plant "$(claim '"dest": "compute-1"')" "$(note command compute-1 touch "$undo")"
  run migrun recover --yes --host compute-1
  on compute-1 rm /run/e2e-planted || fail "it is not understood" "$output"
  # A change that is said to be elsewhere: of each kind, on each of the others.
  for other in controller compute-2 localhost 127.0.0.1 "$net.12"; do
    attempt "$(claim)" "$(note command "$other" "touch" "$undo")"
    attempt "$(claim)" "$(note file.mode "$other" /etc/passwd '{"mode": 420}' '{"mode": 511}')"
    attempt "$(claim)" "$(note service "$other" cron '{"action": "start"}' '{"state": "inactive"}')"
  done
  local some='{"sha256": "0", "uid": 1, "gid": 1}'
  for kind in file.write file.remove file.owner surgery step libvirt.autostart libvirt.migrate \
    nova.live_migrate nova.request nova.lock no.such; do
    attempt "$(claim)" "$(note "$kind" compute-2 /etc/e2e-planted "$undo" "$some")"
  done
  # A request to the cloud, and commands that the site file does not have.
  local users='{"method": "POST", "service": "identity", "path": "/users"}'
  attempt "$(claim)" \
    "$(note nova.request compute-1 /servers "{\"method\": \"POST\", \"path\": \"/x\", \"undo\": $users}")"
  local commands="{\"state\": $touches, \"stop\": $touches}"
  attempt "$(claim)" "$(note service compute-1 libvirtd "{\"action\": \"start\", \"commands\": $commands}" \
    '{"state": "inactive"}')"
  # A claim that names others, or what is none.
  for other in controller compute-9 localhost ../compute-2 '-oProxyCommand=touch /run/e2e-planted'; do
    attempt "$(claim "\"source\": \"$other\"")" "$(note command "$other" touch "$undo")"
    attempt "$(claim "\"dest\": \"$other\"")" "$(note libvirt.migrate "$other" still '{}')"
  done
  attempt "$(claim '"source": "compute-2", "dest": "controller"')" "$(note command compute-2 touch "$undo")"
  attempt "$(claim '"since": 1e300')" "$(note command compute-2 touch "$undo")"
  attempt "$(claim '"instance": "../../x"')" "$(note command compute-2 touch "$undo")"
  attempt "$(claim '"run": "../../../etc/e2e-planted"')" "$(note command compute-2 touch "$undo")"
  attempt "$(claim '"by": "\u001b[2J\u202e"')" "$(note command compute-2 touch "$undo")"
  attempt '[]' '[]'
  attempt "$(claim)" '{"kind": "command"}'
  attempt "$(claim)" '{'
  ((attempts >= 40)) || fail "only $attempts attempts"
}
