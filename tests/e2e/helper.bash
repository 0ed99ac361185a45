# SPDX-License-Identifier: MIT
# For the tests in this folder: `load helper`. The lab is up (setup_suite.bash) with a controller, compute-1
# and compute-2.
LAB=${LAB:-/run/migrun-lab}
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
net=${LAB_NET:-10.88.0}      # the hosts: .10 the controller, .11 compute-1, …
instances=/var/lib/nova/instances
at_most=600            # seconds that any migrun may take: only one that hangs is ever ended by it

lab() { "$checkout/tests/lab/lab" "$@"; }
hosts() { cat "$LAB/hosts"; }
computes() { sed 1d "$LAB/hosts"; }

# on HOST COMMAND …, in the checkout; stdin is passed on.
on() { lab exec "$@"; }
# migrun ARGUMENTS …, on the controller, with nothing on stdin. One that does not come to an end is ended with
# status 124.
migrun() { on controller timeout --foreground -k 5 $at_most migrun "$@" </dev/null; }

# begin ARGUMENTS …: migrun, in the background; `finish` waits for its end and sets status and output, as
# `run` does.
begin() {
  on controller env --default-signal=INT,TERM,HUP timeout -k 5 $at_most migrun "$@" </dev/null \
    >"$BATS_TEST_TMPDIR/begun" 2>&1 3>&- &
  begun=$!
  await 10 begun_pid
}
begun_pid() { on controller pgrep -xo migrun; }
interrupt() { on controller kill "-${1:-INT}" "$(begun_pid)"; }
finish() { status=0; wait "$begun" || status=$?; output=$(<"$BATS_TEST_TMPDIR/begun"); }
so_far() { grep -qF -- "$1" "$BATS_TEST_TMPDIR/begun"; }       # whether it has said so yet

fail() { printf '%s\n' "$@" >&2; return 1; }
# Whether `run`'s output holds a text, or does not.
says() { [[ $output == *"$1"* ]] || fail "does not say: $1" "---" "$output"; }
says_not() { [[ $output != *"$1"* ]] || fail "says: $1" "---" "$output"; }
ends_with_status() { ((status == $1)) || fail "ended with status $status, not $1" "---" "$output"; }
# The line of the verdict, from its first words on.
verdict_is() { grep -q -- "^$1" <<<"$output" || fail "no verdict: $1" "---" "$output"; }

# await SECONDS COMMAND …: until it succeeds. So long at most as it would take on a machine at ease, and a
# busy one is given many times that: a test fails because something does not happen, not because it happens
# late.
await() {
  local end=$((SECONDS + $1 * 15)); shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { fail "waited in vain for: $*"; return; }
    sleep 0.1
  done
}

# ---- guests ----

domain_state() { on "$2" virsh -rq domstate "$1" 2>/dev/null; }
runs_at() { [[ $(domain_state "$1" "$2") == running ]]; }
gone_from() { ! on "$2" virsh -rq list --all --name | grep -qxF -- "$1"; }
qemu_pid() { on "$2" pgrep -f -- "guest=$1,"; }

# as the lab gives it
uuid_of() { md5sum <<<"$1" | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/'; }

# forget NAME: no host has it, no file of it is left.
forget() {
  local host
  for host in $(computes); do
    gone_from "$1" "$host" && continue
    on "$host" virsh -q destroy "$1" >/dev/null 2>&1 || true
    on "$host" virsh -q undefine --nvram "$1" >/dev/null 2>&1 || true
  done
  rm -rf "$LAB/instances/$1" "$LAB/instances/$(uuid_of "$1")"
}

# idle NAME HOST [memory=MiB] [listen=ADDRESS] [cpu=XML] [os=XML] [vnc=ATTRIBUTES] [devices=XML] [folder=PATH]
# [emulator=PATH] [verb=define]: a small guest of any name, running (or only defined) there and nowhere else.
# Its boot sector halts it, so that it runs at once and takes no time. Its folder is named by its uuid, as
# Nova's are.
idle() {
  local name=$1 host=$2 memory=32 listen=0.0.0.0 cpu='' os='' vnc='' devices='' folder=$instances \
    emulator=/usr/bin/qemu-system-x86_64 verb=start uuid xml
  uuid=$(uuid_of "$1")
  [[ $# -le 2 ]] || local "${@:3}"
  xml=$(idle_xml)
  [[ $verb != start || $xml != "$(cat "$LAB/instances/$uuid/libvirt.xml" 2>/dev/null)" ]] ||
    ! stands "$name" "$host" 2>/dev/null || return 0
  forget "$name"
  mkdir -p "$LAB/instances/$uuid"
  # cli; hlt; jmp to it
  { printf "\372\364\353\375"; head -c 506 /dev/zero; printf "\125\252"; } >"$LAB/instances/$uuid/disk"
  truncate -s 1M "$LAB/instances/$uuid/disk"
  echo "$xml" >"$LAB/instances/$uuid/libvirt.xml"
  on "$host" virsh -q define "$instances/$uuid/libvirt.xml"
  [[ $verb == define ]] || on "$host" virsh -q start "$name"
}
idle_xml() {
  cat <<X
<domain type='qemu'>
  <name>$(sed "s/&/\&amp;/g; s/</\&lt;/g" <<<"$name")</name>
  <uuid>$uuid</uuid><memory unit='MiB'>$memory</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>$os</os>$cpu
  <devices>
    <emulator>$emulator</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/><source file='$folder/$uuid/disk'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <graphics type='vnc' ${vnc:-port='-1' autoport='yes'} listen='$listen'/>
    $devices
  </devices>
</domain>
X
}

# stands NAME HOST: it runs there, is defined there and nowhere else, and its disk is QEMU's.
stands() {
  local host folder
  [[ $(domain_state "$1" "$2") == running ]] ||
    { fail "$1 does not run on $2: $(domain_state "$1" "$2")"; return; }
  [[ $(on "$2" virsh -rq dominfo "$1") =~ Persistent:\ *yes ]] || { fail "$1 is not defined on $2"; return; }
  for host in $(computes); do
    [[ $host == "$2" ]] || gone_from "$1" "$host" || { fail "$1 is still on $host"; return; }
  done
  [[ -e $LAB/instances/$1 ]] && folder=$1 || folder=$(uuid_of "$1")
  [[ $(owner "$folder/disk") == libvirt-qemu:libvirt-qemu ]] ||
    fail "its disk belongs to $(owner "$folder/disk")"
}
# loses_nothing NAME: it has not lost a line of its life, and lives on.
loses_nothing() {
  keeps_ticking "$1"
  [[ $(lost "$1") == 0 ]] || fail "$(lab ticks "$1")"
}

# fresh NAME HOST [option …]: a guest just booted there with these options (`lab boot`).
fresh() { forget "$1" && lab boot "$@"; }

# ensure NAME HOST [option …]: it runs there and nowhere else; booted anew only where it has to be.
ensure() {
  local host
  runs_at "$1" "$2" || { fresh "$@"; return; }
  for host in $(computes); do
    [[ $host == "$2" ]] || gone_from "$1" "$host" || { fresh "$@"; return; }
  done
}

# The guest's clock of life: lines lost, and its longest pause since a time (`date +%s.%N`).
lost() { lab ticks "$1" | sed -E 's/.* ([0-9]+) lost.*/\1/'; }
longest_pause() { lab ticks "$@" | sed -E 's/.*pause ([0-9.]+) s$/\1/'; }
# keeps_ticking NAME: it writes new lines now.
keeps_ticking() {
  local before; before=$(lab ticks "$1" | cut -d' ' -f2)
  await 120 eval "(( \$(lab ticks '$1' | cut -d' ' -f2) > $before ))" || stands_still "$1"
}
# What its QEMU, its kernel and its threads tell of a guest that stands still.
stands_still() {
  local host
  for host in $(computes); do
    on "$host" virsh -rq domstate --reason "$1" 2>/dev/null || continue
    on "$host" virsh -q qemu-monitor-command "$1" --hmp 'info status' || true
    on "$host" virsh -q qemu-monitor-command "$1" --hmp 'info registers' | grep -E 'RIP|HLT' || true
    on "$host" ps -Lo comm,stat,wchan:24,time -p "$(qemu_pid "$1" "$host")" || true
  done
  tail -c 600 "$LAB/instances/$1/console.log"
  lab ticks "$1"
  return 1
} >&2

# of NAME/FILE, by this machine's users (the hosts' are the same)
owner() { stat -c '%U:%G' "$LAB/instances/$1"; }

# ---- the world, to be compared before and after ----

# A stable text of all that the hosts are: files with owner, mode, size and times, units, domains, processes.
# A host's root is an overlay: all that it changed since it came up, and nothing else, lies in the upper
# folder. Left out is only what changes by itself: the journal, what networkd notes about its link, what the
# running guest writes; and what everybody leaves who asks: a line in libvirtd's log, and the time of /run,
# where migrun's private folder was.
world_snapshot() {
  local host
  log_out
  for host in $(hosts); do
    await 20 no_logins "$host"
    { list_files "$LAB/$host/up" -path ./var/log/journal -o -path ./var/log/libvirt/libvirtd.log; on "$host" \
      bash -s <<<"$(declare -f list_files host_snapshot); host_snapshot"; } |
      sort | sed "s/^/$host /"
  done
  list_files "$LAB/instances" -name disk -o -name console.log
  (cd "$LAB/instances" && find . \( -name disk -o -name console.log \) -printf \
    'guest writes %p %m %u:%g\n' | sort)
}

# list_files FOLDER PREDICATE …: with what find's predicate holds for left out.
list_files() {
  (cd "$1" && find . -xdev \( "${@:2}" \) -prune -o -type d -printf 'folder %p %m %u:%g %T@\n' -o -printf \
    'file %p %y %m %u:%g %s %T@ %C@ %l\n' |
    sort | sed "s|^|$1 |")
}

host_snapshot() {  # on a host
  local name
  list_files /run -path ./systemd/netif -o -path ./log -o -path ./migrun-ssh | grep -v '^/run folder \. '
  list_files /tmp -false
  list_files /dev/shm -false
  find /run/libvirt /etc/libvirt /etc/migrun -type f -exec sha256sum {} + 2>/dev/null | sed "s/^/content /"
  systemctl list-units --all --plain --no-legend --type=service,socket,timer,target,mount |
    awk '{ print "unit", $1, $2, $3, $4 }'
  systemctl show --property=Id,InvocationID,MainPID,NRestarts '*.service' |
    awk 'BEGIN { RS = ""; FS = "\n" } { print "service", $1, $2, $3, $4 }'
  ps -eo ppid,pid,user,args --no-headers | awk -v self=$$ '$1 != self && $2 != self { print "process", $0 }'
  ss -Hltn | awk '{ print "listens", $4 }'
  for name in $(virsh -rq list --all --name 2>/dev/null); do
    echo "domain $name $(virsh -rq domstate --reason "$name")"
    virsh -rq dumpxml "$name" | awk -v name="$name" '{ printf "xml %s %4d %s\n", name, NR, $0 }'
  done
}
# The logins that runs kept for the next one end.
log_out() {
  on controller sh -c 'for s in /run/migrun-ssh/*; do case $s in *.*) ;;
    *) ssh -S "$s" -O exit login || true; rm -f "$s" ;; esac; done' 2>/dev/null
}
no_logins() { ! on "$1" pgrep -f '^sshd(-session|-auth)?: .*(@|\[priv\]|\[preauth\])|migrun-agent'; }

# unchanged BEFORE_FILE: the world is what it was then (world_snapshot >BEFORE_FILE).
unchanged() {
  world_snapshot >"$1.after"
  diff "$1" "$1.after" >&2 || fail "the world has changed"
}

# ---- files and services to be changed by the policies of these tests ----

# Both hosts get files of every kind of content, owner and mode, and two services; what the policies in
# policies/ change.
lay_out() {
  local host
  for host in $(computes); do
    on "$host" bash -s <<'S'
    rm -rf /etc/e2e /run/e2e-go; mkdir /etc/e2e; cd /etc/e2e
    printf 'one\nno newline at its end' >text
    printf 'one\ntwo\nthree\n' >lines
    printf '<note colour="red"><!-- kept -->\n  <text>one</text>\n</note>\n' >xml
    head -c 5000 /dev/urandom >bytes
    echo mine >owned; echo closed >moded
    chown nobody:daemon text bytes; chown daemon:nogroup moded
    chmod 640 text; chmod 4750 bytes; chmod 604 moded; chmod 400 lines
    touch -d '2020-02-02 02:02:02' *
    for unit in running stopped; do
      printf '[Service]\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/e2e-$unit.service
    done
    systemctl daemon-reload
    systemctl start e2e-running; systemctl stop e2e-stopped
S
  done
}
# What of it there is on HOST, byte for byte.
laid_out() {
  on "$1" bash -c 'cd /etc/e2e; stat -c "%n %F %U:%G %a %s" . *; sha256sum *; ! ls -A | grep "^\." || true
    systemctl is-active e2e-running e2e-stopped'
}

# ---- a move that takes long enough for somebody to interfere ----

# slow: a guest that takes its time to move from $from to $to (wherever it is after an earlier test), and
# `creep` begins to move it, so slowly that it cannot arrive before the test is done with it.
slow() {
  from=compute-1 to=compute-2
  if stands slow "$to" 2>/dev/null; then from=compute-2 to=compute-1; fi
  ensure slow "$from" memory=192 dirty=64 listen=own
}
creep() { begin "$@" -p bandwidth=1 policies/libvirt.lua slow "$to"; await 30 is_moving slow; }
is_moving() {
  on "$from" virsh -q domjobinfo "$1" | grep -q 'Memory processed: *[1-9]' && qemu_pid "$1" "$to"
}
