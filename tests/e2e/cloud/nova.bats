# SPDX-License-Identifier: MIT
# policies/nova.lua on a real cloud: there and back, what is refused, and what is told when Nova says nothing.
load cloud

# nova [ARGUMENTS …]: migrun's nova.lua, as the cloud that is chosen.
nova() { on controller timeout --foreground -k 5 600 env OS_CLOUD="${cloud:-admin}" migrun "$@" </dev/null; }

# What is asked for by nova.lua in the background; `finish` waits for its end (helper.bash).
begin_nova() {
  on controller env --default-signal=INT,TERM,HUP OS_CLOUD=admin timeout -k 5 900 migrun "$@" </dev/null \
    >"$BATS_TEST_TMPDIR/begun" 2>&1 3>&- &
  begun=$!
  await 30 begun_pid
}
libvirt_name() { shown "$1" OS-EXT-SRV-ATTR:instance_name; }
# begins_slowly SERVER: its move from compute-1 by nova.lua, which lasts until it is let go ($name:
# libvirt's).
begins_slowly() {
  name=$(libvirt_name "$1")
  on compute-1 virsh migrate-setspeed "$name" 2
  begin_nova nova.lua "$1" compute-2
  await 300 is_migrating "$name" compute-1
}
let_go() { on compute-1 virsh migrate-setspeed "$name" 8000; }
is_migrating() { on "$2" virsh -q domjobinfo "$1" 2>/dev/null | grep -q 'Outgoing migration'; }

@test "there and back five times: Nova agrees each time, no line is lost" {
  booted mover compute-1
  id=$(id_of mover)
  for _ in 1 2 3 4 5; do
    for host in compute-2 compute-1; do
      run nova nova.lua mover "$host"
      ends_with_status 0
      verdict_is "Moved: mover runs on $host and is gone from"; says "files owned right"; says "Nova agrees"
      [[ $(host_of mover) == "$host" ]]
      [[ $(bindings mover) == "$host ACTIVE" ]]
      [[ $(owner "$id/disk") == libvirt-qemu:libvirt-qemu ]]
      loses_nothing "$id"
    done
  done
}

@test "by its id and by libvirt's name; a preview asks, and moves nothing" {
  booted mover compute-1
  for name in "$(id_of mover)" "$(libvirt_name mover)"; do
    run nova -n -v nova.lua "$name" compute-2
    ends_with_status 0
    says "Placement has room"; says "reserved) × 1 - "; says "Would move mover to compute-2"
  done
  [[ $(host_of mover) == compute-1 ]]
}

@test "any: the scheduler chooses" {
  booted mover compute-1
  run nova nova.lua mover any
  ends_with_status 0
  says "The scheduler chose compute-2"; verdict_is "Moved: mover runs on compute-2"
  run nova nova.lua mover compute-1
  ends_with_status 0
}

@test "credentials that are none, or wrong: a sentence, and nothing touched" {
  run on controller env OS_CLOUD=nonsense migrun nova.lua mover compute-2
  ends_with_status 1
  says "cloud 'nonsense' (OS_CLOUD) is not in /etc/openstack/clouds.yaml; it has admin, operator, user"
  run on controller env OS_CLOUD=admin OS_REGION_NAME=Nowhere migrun nova.lua mover compute-2
  ends_with_status 1; says "has no endpoint of Nova (compute, interface public, region Nowhere); it has"
  for wrong in OS_PASSWORD=wrong OS_PROJECT_NAME=nonsense; do
    run on controller env OS_AUTH_URL=http://controller:5000/v3 OS_USERNAME=admin OS_PASSWORD=admin \
      OS_PROJECT_NAME=demo OS_USER_DOMAIN_NAME=Default \
      OS_PROJECT_DOMAIN_NAME=Default "$wrong" migrun nova.lua mover compute-2
    ends_with_status 2; says "rejects the credentials of cloud 'envvars' (OS_* in the environment)"
    says "HTTP 401, req-"
  done
}

@test "what is not there, or not to be moved: refused, nothing touched" {
  booted mover compute-1
  run nova nova.lua nothing compute-2
  ends_with_status 2; says "has no instance 'nothing'"
  run nova nova.lua mover compute-9
  ends_with_status 2; says "has no nova-compute on compute-9; it has them on compute-"
  run nova nova.lua mover compute-1
  ends_with_status 2; says "mover is on compute-1 already"
  cloud=user
  run nova nova.lua mover compute-2
  ends_with_status 2; says "has no instance 'mover'"
}

@test "a destination that is disabled, or forced down" {
  booted mover compute-1
  openstack compute service set --disable --disable-reason "work on it" compute-2 nova-compute
  run nova nova.lua mover compute-2
  openstack compute service set --enable compute-2 nova-compute
  ends_with_status 2; says "nova-compute on compute-2 is disabled"; says "work on it"
  openstack compute service set --down compute-2 nova-compute
  run nova nova.lua mover compute-2
  openstack compute service set --up compute-2 nova-compute
  ends_with_status 2; says "nova-compute on compute-2 is forced down"
}

@test "a paused instance is refused; a locked one moves, and stays locked" {
  booted mover compute-1
  openstack server pause mover
  run nova nova.lua mover compute-2
  openstack server unpause mover
  ends_with_status 2; says "its status in Nova is PAUSED"
  openstack server lock mover
  run nova nova.lua mover compute-2
  [[ $(shown mover locked) == true ]]
  openstack server unlock mover
  ends_with_status 0
}

@test "an instance that is being built, or is shelved" {
  booted mover compute-1
  on compute-1 systemctl stop nova-compute      # Nova does not know it yet, and leaves the server to it
  openstack server create --flavor lab.small --image guest --network lab --host compute-1 built >/dev/null
  [[ $(shown built status) == BUILD ]]
  run nova nova.lua built compute-2
  nova_compute_starts compute-1
  lab server --delete built
  ends_with_status 2; says "built is on no host (status BUILD): only what runs is migrated live"
  openstack server shelve mover
  await 120 eval '[[ $(shown mover status) == SHELVED_OFFLOADED ]]'
  run nova nova.lua mover compute-2
  lab server --delete mover
  ends_with_status 2; says "mover is on no host (status SHELVED_OFFLOADED): only what runs is migrated live"
}

@test "no room on the destination, by Placement" {
  booted mover compute-1
  provider=$(placement GET /resource_providers?name=compute-2 | jq -r '.resource_providers[0].uuid')
  free=$(placement GET "/resource_providers/$provider/inventories" |
    jq '.inventories.MEMORY_MB | (.total - .reserved) * .allocation_ratio | floor')
  used=$(placement GET "/resource_providers/$provider/usages" | jq .usages.MEMORY_MB)
  somebody=$(</proc/sys/kernel/random/uuid)
  placement PUT "/allocations/$somebody" "$(jq -n --arg p "$provider" --argjson n "$((free - used - 10))" \
    '{allocations: {($p): {resources: {MEMORY_MB: $n}}},
      consumer_generation: null, project_id: "e2e", user_id: "e2e"}')"
  run nova nova.lua mover compute-2
  placement DELETE "/allocations/$somebody"
  ends_with_status 2; says "MiB, and Placement has 10 MiB of $free free on compute-2"
}

@test "any: no valid host" {
  booted mover compute-1
  openstack compute service set --disable compute-2 nova-compute
  run nova nova.lua mover any
  openstack compute service set --enable compute-2 nova-compute
  [[ $status == @(2|3) ]] || fail "ended with status $status" "$output"
  verdict_is "Not moved: mover runs on compute-1 as before"; says "No valid host was found"; says "req-"
  [[ $(host_of mover) == compute-1 ]]
}

@test "deleted while it migrates" {
  booted doomed compute-1
  begins_slowly doomed
  openstack server delete doomed
  finish
  ends_with_status 3
  local text="Not moved: somebody deleted doomed in Nova meanwhile, and neither compute-1 nor compute-2 has "
  text+="it any more"
  verdict_is "$text"
  run nova recover
  ends_with_status 0; says "Nothing to recover"
}

@test "the source's nova-compute dies while it migrates: libvirt's own job is followed" {
  booted orphan compute-1
  begins_slowly orphan
  on compute-1 sh -c 'systemctl kill -s KILL nova-compute; systemctl stop nova-compute'
  let_go
  finish
  nova_compute_starts compute-1
  ends_with_status 4
  says "nova-compute on compute-1, which works on it, is down: start it, which settles it"
  lab server --delete orphan
}

@test "the message queue and the conductor die while it migrates, and come back: the verdict is true" {
  booted queued compute-1
  id=$(id_of queued)
  begins_slowly queued
  on controller systemctl kill -s KILL rabbitmq-server nova-conductor
  let_go
  await 300 runs_at "$name" compute-2
  on controller sh -c 'systemctl reset-failed rabbitmq-server nova-conductor;
    systemctl start rabbitmq-server && systemctl start nova-conductor'
  finish
  case $status in
    0) verdict_is "Moved: queued runs on compute-2"; [[ $(host_of queued) == compute-2 ]] ;;
    4) verdict_is "Moved, but"; says "queued runs on compute-2"; says "Nova" ;;
    *) fail "ended with status $status" "$output" ;;
  esac
  runs_at "$name" compute-2
  loses_nothing "$id"
  lab server --delete queued
}

@test "VNC on one address for all hosts: Nova says nothing, migrun says why" {
  address=$(on compute-1 hostname -I | tr -d ' ')
  lab listen "$address"
  booted still compute-1
  run nova nova.lua still compute-2
  lab listen any
  ends_with_status 3
  verdict_is "Not moved: still runs on compute-1 as before"
  says "QEMU on compute-2 could not listen on $address for VNC"
  says "Nova says that the migration failed, but not why"; says "Remedy"
}

@test "a migration of Nova's that failed: why, by the instance's name, its id and the request's" {
  booted still compute-1
  on compute-2 sh -c 'nft add table inet case
    nft "add chain inet case in { type filter hook input priority -10; }"
    nft add rule inet case in tcp dport 49152-49215 reject with tcp reset'
  openstack server migrate --live-migration --host compute-2 still
  await 60 eval '[[ $(last_migration still) == @(error|failed) ]]'
  on compute-2 nft delete table inet case
  for name in still "$(id_of still)"; do
    run nova diagnose "$name"
    ends_with_status 0
    says "compute-1 → compute-2"
    says "Cause     the migration port compute-2:49152 does not let compute-1 through"
    says "asked by req-"
  done
  request=$(grep -o 'req-[0-9a-f-]*' <<<"$output" | head -n 1)
  run migrun diagnose "$request"            # by the logs alone
  ends_with_status 0
  says "Cause     the migration port compute-2:49152 does not let compute-1 through"
  run nova diagnose --json still
  [[ $(jq -r '.source + " " + .dest + " " + .request' <<<"$output") == "compute-1 compute-2 $request" ]]
}

@test "a request that Nova's API refused, of which it keeps no record: by its id, and the instance's" {
  booted still compute-1
  run openstack server migrate --live-migration --host compute-9 still
  request=$(grep -o 'req-[0-9a-f-]*' <<<"$output" | head -n 1)
  run migrun diagnose "$request"
  ends_with_status 0
  says "Cause     Nova knows no host compute-9"
  run nova diagnose still
  ends_with_status 0
  says "Cause     Nova knows no host compute-9"
  run migrun diagnose req-00000000-0000-4000-8000-000000000000
  ends_with_status 1
  says "no log has a migration of req-00000000-0000-4000-8000-000000000000"
}

@test "Ctrl-C aborts through Nova, and waits for the outcome" {
  booted mover compute-1
  begins_slowly mover
  interrupt
  finish
  let_go
  ends_with_status 130
  verdict_is "Interrupted: mover runs on compute-1 as before"
  [[ $(host_of mover) == compute-1 ]]
  [[ $(last_migration mover) == @(cancelled|failed) ]]
}

@test "killed while Nova migrates: recover follows it to its end" {
  booted mover compute-1
  begins_slowly mover
  interrupt KILL
  finish
  let_go
  run nova recover
  ends_with_status 0
  says "Nova still migrates it"; verdict_is "Moved: mover runs on compute-2"
  run nova nova.lua mover compute-1
  ends_with_status 0
}

@test "with the surgery there and back five times: lock and service as found, no line is lost" {
  lab listen own
  booted old compute-1
  id=$(id_of old)
  for _ in 1 2 3 4 5; do
    for host in compute-2 compute-1; do
      run nova nova-status-xml.lua old "$host"
      ends_with_status 0
      verdict_is "Moved: old runs on $host and is gone from"
      says "/run/libvirt/qemu/$(libvirt_name old).xml"; says "Nova agrees"
      [[ $(host_of old) == "$host" ]]
      loses_nothing "$id"
    done
  done
  openstack server lock old
  openstack compute service set --disable --disable-reason "a test" compute-1 nova-compute
  run nova nova-status-xml.lua old compute-2
  locked=$(shown old locked)
  service=$(openstack compute service list --long --host compute-1 --service nova-compute -f value -c Status \
    -c State -c "Disabled Reason")
  openstack server unlock old
  openstack compute service set --enable compute-1 nova-compute
  lab listen any
  ends_with_status 0
  [[ $locked == true && $service == "disabled up a test" ]] || fail "locked: $locked, service: $service"
}
