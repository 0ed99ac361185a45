# SPDX-License-Identifier: MIT
# For the tests in this folder: `load cloud`.
load ../helper

openstack() {
  on controller env OS_CLOUD="${cloud:-admin}" OS_COMPUTE_API_VERSION=2.92 openstack "$@" </dev/null
}
# api PATH: what a service answers the admin (PATH: PORT/…).
api() {
  on controller sh -c 'token=$(OS_CLOUD=admin openstack token issue -f value -c id)
    curl -sf -H "X-Auth-Token: $token" "http://controller:$1"' - "$1"
}
# placement METHOD PATH [BODY]
placement() {
  on controller sh -c 'token=$(OS_CLOUD=admin openstack token issue -f value -c id)
    curl -sf -X "$1" -H "X-Auth-Token: $token" -H "Content-Type: application/json" \
    -H "OpenStack-API-Version: placement 1.28" ${3:+-d "$3"} "http://controller:8778$2"' - "$@"
}

shown() { openstack server show "$1" -f json | jq -r --arg field "$2" '.[$field]'; }
host_of() { shown "$1" OS-EXT-SRV-ATTR:host; }
is_at() { [[ $(host_of "$1") == "$2" ]]; }
id_of() { shown "$1" id; }
# bindings SERVER: its port's, "HOST STATUS" one a line.
bindings() {
  local port; port=$(openstack port list --server "$1" -f value -c ID)
  api "9696/v2.0/ports/$port/bindings" | jq -r '.bindings[] | "\(.host) \(.status)"'
}
# last_migration SERVER: "STATUS" of the newest.
last_migration() {
  openstack server migration list --server "$1" -f json | jq -r 'sort_by(.["Created At"]) | last | .Status'
}
move() { openstack server migrate --live-migration --host "$2" --wait "$1"; }
nova_compute_starts() {
  on "$1" systemctl start nova-compute
  await 60 nova_compute_is_up "$1"
}
nova_compute_is_up() {
  [[ $(openstack compute service list --host "$1" --service nova-compute -f value -c State) == up ]]
}

# booted NAME HOST: a server of that name runs there, booted only where it has to be.
booted() {
  if [[ $(host_of "$1" 2>/dev/null) == "$2" && $(shown "$1" status) == ACTIVE ]]; then return 0; fi
  lab server --delete "$1" 2>/dev/null || true
  lab server "$@"
}
