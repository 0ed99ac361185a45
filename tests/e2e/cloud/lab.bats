# SPDX-License-Identifier: MIT
# The lab's cloud: what the other tests in this folder rest on.
load cloud

@test "the clouds admin, operator and user: each may what it should" {
  [[ $(on controller stat -c '%a %U' /etc/openstack/clouds.yaml) == "600 root" ]]
  for cloud in admin operator; do
    run openstack compute service list -f value -c Binary -c Host -c State
    ends_with_status 0
    says "nova-compute compute-1 up"; says "nova-compute compute-2 up"; says "nova-conductor controller up"
    run openstack hypervisor list -f value -c "Hypervisor Hostname"
    ends_with_status 0; says compute-1; says compute-2
  done
  cloud=user
  run openstack compute service list
  ends_with_status 1; says 403; says os-services:list
}

@test "every endpoint is a name, for the hosts of any network" {
  run openstack endpoint list -f value -c URL
  ends_with_status 0
  ((${#lines[@]} == 15)) || fail "$output"
  ! grep -v '^http://controller:' <<<"$output" || fail "another"
}

@test "a server boots on the host asked for, ticks, and its port is active there" {
  booted mover compute-1
  id=$(id_of mover)
  [[ $(host_of mover) == compute-1 ]]
  keeps_ticking "$id"
  [[ $(bindings mover) == "compute-1 ACTIVE" ]]
  [[ $(stat -c %U "$LAB/instances") == nova ]]
  [[ $(owner "$id/disk") == libvirt-qemu:libvirt-qemu ]]
}

@test "it moves live, there and back, and its port with it; no line is lost" {
  booted mover compute-1
  id=$(id_of mover)
  for host in compute-2 compute-1; do
    move mover "$host"
    await 60 is_at mover "$host"
    [[ $(last_migration mover) == completed ]]
    [[ $(bindings mover) == "$host ACTIVE" ]] || fail "$(bindings mover)"
    loses_nothing "$id"
  done
}

@test "the operator, who is no admin, moves it; the user does not see it" {
  booted mover compute-1
  cloud=operator move mover compute-2
  await 60 is_at mover compute-2
  cloud=user
  run openstack server show mover
  ends_with_status 1; says "No server with a name or ID"
}

@test "VNC on one address for all hosts: the client says Complete, and the server stays" {
  lab listen "$(on compute-1 hostname -I | tr -d ' ')"
  booted still compute-1
  id=$(id_of still)
  move still compute-2
  await 60 eval "[[ \$(last_migration still) == failed ]]"
  [[ $(host_of still) == compute-1 ]]
  on compute-1 grep -q 'Failed to bind socket: Cannot assign requested address' /var/log/nova/nova-compute.log
  loses_nothing "$id"
}

@test "VNC on each host's own address: Nova rewrites it" {
  lab listen own
  lab server --delete still
  booted still compute-1
  move still compute-2
  await 60 is_at still compute-2
  [[ $(last_migration still) == completed ]]
  run on compute-2 virsh dumpxml "$(id_of still)"
  says "listen='$(on compute-2 hostname -I | tr -d ' ')'"
  lab listen any
}

@test "a deleted server leaves no file, no port and no domain" {
  booted still compute-2
  id=$(id_of still)
  lab server --delete still
  [[ ! -e $LAB/instances/$id ]]
  [[ -z $(openstack port list --server "$id" -f value) ]] || fail "a port"
  for host in $(computes); do
    ! on "$host" virsh -q list --all --uuid | grep -qF "$id" || fail "a domain on $host"
  done
}

@test "a compute host that lost its power comes back into the cloud" {
  lab server --delete mover 2>/dev/null || true
  lab crash compute-2
  lab start compute-2
  booted mover compute-2
  loses_nothing "$(id_of mover)"
}

@test "what makes no sense is refused" {
  run lab server
  ends_with_status 1; says "server NAME HOST"
  run lab server a controller
  ends_with_status 1; says "the controller runs no servers"
  run lab server a compute-9
  ends_with_status 1; says "no host 'compute-9'"
  run lab server a compute-1 image=none
  ends_with_status 1; says "the cloud has no image none"
  run lab server --delete nobody
  ends_with_status 1; says "no server nobody"
  run lab listen nowhere
  ends_with_status 1; says "server_listen cannot be 'nowhere'"
  booted mover compute-2
  run lab server mover compute-1
  ends_with_status 1; says "a server mover is there already"
}
