# SPDX-License-Identifier: MIT
# Surgery: libvirtd is stopped, its records are changed, it is started; whatever goes wrong, every guest is
# managed as before.
load helper

others="by-1 by-2 by-3"
setup_file() {  # those four, and no guest of other tests
  for name in $(on compute-1 virsh -rq list --all --name); do forget "$name"; done
  for name in $others; do ensure "$name" compute-1 memory=96 3>&-; done
}
teardown_file() { for name in op $others; do forget "$name"; done; }
setup() {
  ensure op compute-1 memory=96 listen=own
  pids=$(qemu_pids)
  daemon=$(libvirtd_pid)
  record=$(listens)
}
teardown() {
  lab link compute-1 up
  on compute-1 sh -c 'rm -f /run/e2e-in-surgery /etc/libvirt/hooks/qemu; pkill -CONT -f qemu-system; true'
  while begun_pid >/dev/null 2>&1; do interrupt KILL; sleep 0.2; done
  migrun -q recover >/dev/null 2>&1 || true
}

qemu_pids() { for name in op $others; do echo "$name $(qemu_pid "$name" compute-1)"; done; }
libvirtd_pid() { on compute-1 systemctl show --property=MainPID --value libvirtd; }
listens() { on compute-1 virsh -rq dumpxml op | grep -o "listen='[^']*'"; }
operate() { run migrun -p way="$1" tests/e2e/policies/surgery.lua op; }
managed() {  # every guest of before: the same process, listed as running, and it answers
  local name
  [[ $(qemu_pids) == "$pids" ]] || fail "other processes:" "$pids" "$(qemu_pids)"
  for name in op $others; do
    runs_at "$name" compute-1 || fail "$name: $(domain_state "$name" compute-1)"
    on compute-1 virsh -q domblkerror "$name" >/dev/null || fail "$name does not answer"
  done
  [[ -z $(on compute-1 ls -A /var/lib/migrun/claims) ]] || fail "a claim is left"
}
as_before() { managed && [[ $(listens) == "$record" ]] || fail "it listens elsewhere: $(listens)"; }
was_not_stopped() { [[ $(libvirtd_pid) == "$daemon" ]] || fail "libvirtd was stopped"; as_before; }
was_restarted() { [[ $(libvirtd_pid) != "$daemon" ]] || fail "libvirtd was not stopped"; as_before; }

@test "surgery, and the move that it is for: there and back, nobody else is touched" {
  local n lines
  for ((n = 0; n < ${SURGERIES:-1}; n++)); do
    for to in compute-2 compute-1; do
      run migrun policies/status-xml.lua op "$to"
      ends_with_status 0
      verdict_is "Moved: op runs on $to and is gone from"
      stands op "$to"
      for name in $others; do
        runs_at "$name" compute-1
        [[ $pids == *"$name $(qemu_pid "$name" compute-1)"* ]] || fail "$name is another process"
      done
      on "$to" virsh -q destroy op
      on "$to" virsh -q start op        # its definition binds to nothing that is not there
      forget op; ensure op "$to" memory=96 listen=own
    done
  done
  for name in $others; do loses_nothing "$name"; done
}

@test "a preview of it stops nothing and shows what would be changed" {
  run migrun --dry-run policies/status-xml.lua op compute-2
  ends_with_status 0
  says "is stopped for about 1 s; 4 guests run on, unmanaged meanwhile"
  says "+      <graphics type='vnc' port="
  was_not_stopped
}

@test "what libvirtd does not take over is put back, and its log is quoted" {
  operate "unknown flag"
  ends_with_status 3
  says "no-such-flag"
  says "with the original restored"
  says "4 of 4 guests are managed as before"
  was_restarted
}

@test "an edit that must not go into place does not: undeclared, not well-formed, as text, in a nested way" {
  local way
  for way in "not declared" "another device address" "not well-formed" "declares nothing" "as text" "caught" \
    "starts it" "a stop in it"; do
    daemon=$(libvirtd_pid)
    operate "$way"
    ((status == 3 || status == 1)) || fail "$way ended with status $status" "$output"
    was_restarted
  done
}

@test "a later failure does not undo it: libvirtd has taken it over, and the verdict says so" {
  operate good
  ends_with_status 3
  grep -q "Stays .*libvirtd on compute-1 (is restarted with /run/libvirt/qemu/op.xml edited" <<<"$output" ||
    fail "not named as kept" "$output"
  managed
  [[ $(listens) != "$record" ]]
  forget op
}

@test "nothing is stopped where a guest would not be found again: a silent monitor, a job, a hook" {
  on compute-1 kill -STOP "$(qemu_pid by-2 compute-1)"
  operate good
  ends_with_status 3
  says "the monitor of by-2"
  on compute-1 kill -CONT "$(qemu_pid by-2 compute-1)"
  await 60 on compute-1 virsh -q domblkerror by-2
  was_not_stopped

  printf '#!/bin/sh\n[ "$2" != reconnect ] || { echo "I say no" >&2; exit 7; }\n' |
    on compute-1 sh -c 'mkdir -p /etc/libvirt/hooks; cat >/etc/libvirt/hooks/qemu;
      chmod 755 /etc/libvirt/hooks/qemu'
  operate good
  ends_with_status 3
  says "its hook /etc/libvirt/hooks/qemu fails"
  says "I say no"
  was_not_stopped
  on compute-1 rm /etc/libvirt/hooks/qemu

  on compute-1 virsh -q migrate-setspeed by-3 1
  on compute-1 virsh -q migrate --live --p2p --bandwidth 1 by-3 qemu+tcp://compute-2/system >/dev/null 2>&1 \
    3>&- &
  await 60 on compute-1 sh -c "virsh -q domjobinfo by-3 | grep -q 'Memory processed: *[1-9]'"
  operate good
  ends_with_status 3
  says "by-3 has one (migration out)"
  on compute-1 virsh -q domjobabort by-3
  wait $! || true
  forget by-3; ensure by-3 compute-1 memory=96 3>&-
  pids=$(qemu_pids)
  was_not_stopped
}

@test "a libvirtd that does not start again: the guests run on, what to do is said, and recover looks again" {
  on compute-1 sh -c 'cp /etc/libvirt/libvirtd.conf /run/e2e-conf;
    echo "no such setting" >>/etc/libvirt/libvirtd.conf'
  operate good
  on compute-1 sh -c 'cp /run/e2e-conf /etc/libvirt/libvirtd.conf; rm /run/e2e-conf'
  ends_with_status 6
  says "libvirtd does not start"
  says "its 4 guests run on, unmanaged"
  [[ $(qemu_pids) == "$pids" ]]
  on compute-1 sh -c 'systemctl reset-failed libvirtd; systemctl start libvirtd'
  run migrun recover "$(sed -n 's/.*migrun recover \([0-9a-z-]*\) tries again.*/\1/p' <<<"$output")"
  ends_with_status 3
  as_before
}

@test "a full /run: nothing is half written, and the guests are managed again" {
  on compute-1 sh -c 'mount -o remount,size=$(($(df -k --output=used /run | tail -n 1) + 2048))k /run'
  operate full
  on compute-1 sh -c 'rm -f /run/e2e-full; mount -o remount,size=20% /run; systemctl reset-failed libvirtd;
    systemctl start libvirtd'
  ((status == 3 || status == 6 || status == 2)) || fail "ended with status $status" "$output"
  says "No space left"
  ((status != 6)) || migrun -q recover \
    "$(sed -n 's/.*migrun recover \([0-9a-z-]*\) tries again.*/\1/p' <<<"$output")" || true
  as_before
}

@test "a modular daemon, by units and a socket of its own name" {
  on compute-1 sh -c '
    systemctl stop libvirtd
    cd /etc/systemd/system
    printf "%s\n" "[Socket]" ListenStream=/run/libvirt/virtqemud-sock SocketMode=0600 \
      FileDescriptorName=libvirtd.socket >virtqemud.socket
    printf "%s\n" "[Unit]" Requires=virtqemud.socket After=virtqemud.socket "[Service]" Type=notify \
      "ExecStart=/usr/sbin/libvirtd --timeout 120" KillMode=process >virtqemud.service
    systemctl daemon-reload; systemctl start virtqemud.socket'
  on controller sh -c 'cat >/tmp/modular.lua' <<<'return { hosts = { "compute-2", ["compute-1"] = {
    services = { libvirtd = "virtqemud" },
    libvirt = { socket = "/run/libvirt/virtqemud-sock", socket_ro = "/run/libvirt/virtqemud-sock" } } } }'
  run migrun --site /tmp/modular.lua -p way=quick tests/e2e/policies/surgery.lua op
  units=$(on compute-1 systemctl is-active virtqemud.socket virtqemud.service libvirtd.service || true)
  on compute-1 sh -c 'systemctl stop virtqemud.socket virtqemud.service; rm /etc/systemd/system/virtqemud.*;
    systemctl daemon-reload; systemctl start libvirtd'
  ends_with_status 0
  says "virtqemud on compute-1 is stopped for about 1 s; 4 guests run on, unmanaged meanwhile"
  [[ $units == $'active\nactive\ninactive' ]] || fail "units: $units"
  managed
  forget op
}

# ---- the guard ----

in_surgery() {
  begin -p way=waits tests/e2e/policies/surgery.lua op
  await 60 on compute-1 test -e /run/e2e-in-surgery
  [[ $(on compute-1 systemctl is-active libvirtd) != active ]]
}
libvirtd_is_back() {
  local since=$SECONDS
  await 60 on compute-1 systemctl -q is-active libvirtd
  local took=$((SECONDS - since)); echo "# back after $took s" >&3
}
# to whom finds the claim
is_told() { await 60 on compute-1 sh -c 'grep -q "\"told\"" /var/lib/migrun/claims/*.json'; }
ends_as_before() {
  on compute-1 rm -f /run/e2e-in-surgery
  run migrun recover "$@"
  ends_with_status 3
  says "libvirtd"
  as_before
}

@test "migrun dies in it: the agent puts back" {
  in_surgery
  interrupt KILL; finish
  libvirtd_is_back
  is_told
  run migrun policies/status-xml.lua op compute-2
  ends_with_status 2
  says "was stopped; its agent started it again"
  ends_as_before
}

@test "its ssh dies in it: the agent puts back" {
  in_surgery
  on controller pkill -KILL -x ssh
  libvirtd_is_back
  finish
  ends_with_status 3
  as_before
}

@test "the agent dies in it: its guard puts back" {
  in_surgery
  on compute-1 sh -c 'kill -KILL $(pgrep -x migrun-agent | grep -vx "$(pgrep -fo -- "migrun-agent --guard")")'
  libvirtd_is_back
  finish
  ends_with_status 3
  as_before
}

@test "the network dies in it: the agent puts back" {
  in_surgery
  lab link compute-1 down
  libvirtd_is_back
  finish
  ends_with_status 6
  says "could not be put back"
  left=$(sed -n 's/.*migrun recover \([0-9a-z-]*\) tries again.*/\1/p' <<<"$output")
  lab link compute-1 up
  run migrun recover
  ends_with_status 0
  says "migrun recover $left tries again"
  ends_as_before "$left"
}

@test "the controller loses power in it: the agent puts back" {
  in_surgery
  lab crash controller
  libvirtd_is_back
  finish
  lab start controller 3>&-
  ends_as_before
}

@test "the policy does not come to an end in it: it is ended, and what was there is put back" {
  begin -p way=loops tests/e2e/policies/surgery.lua op
  await 60 on compute-1 test -e /run/e2e-in-surgery
  finish
  ends_with_status 3
  says "a loop that does not end"
  libvirtd_is_back
  as_before
}

@test "the policy does not come to an end in it: migrun can be interrupted" {
  begin -p way=loops tests/e2e/policies/surgery.lua op
  await 60 on compute-1 test -e /run/e2e-in-surgery
  interrupt; finish
  ends_with_status 130
  libvirtd_is_back
  as_before
}
