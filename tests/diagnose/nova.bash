# SPDX-License-Identifier: MIT
# Failures of live migrations that Nova is asked for. Sourced by record.
nova_cases=(
  nova-vnc-address nova-same-host nova-unknown-host nova-service-down nova-no-valid-host nova-lack-
  of-memory nova-block-on-shared nova-not-shared nova-port-binding nova-migration-port nova-libvirt-
  port nova-name-unresolved nova-hook-refuses nova-stopped nova-already-migrating nova-aborted nova-
  timeout nova-no-answer nova-no-memory nova-dest-killed nova-older-hypervisor nova-libvirtd-down
  nova-tls nova-disabled nova-disk-denied nova-compute-dies nova-anti-affinity nova-moved
)

openstack() {
  on controller env OS_CLOUD=admin OS_COMPUTE_API_VERSION="${minor:-2.92}" openstack "$@"
}
# The server web: at compute-1, ready.
server() {
  guest_name=${1:-web}
  if [[ $(openstack server show "$guest_name" -f value -c OS-EXT-SRV-ATTR:host 2>/dev/null) != compute-1 ||
    $(openstack server show "$guest_name" -f value -c status) != ACTIVE ]]; then
    lab server --delete "$guest_name" >/dev/null 2>&1; lab server "$guest_name" compute-1 >&2
  fi
  id=$(openstack server show "$guest_name" -f value -c id)
  subject "$id"
}
live_migrate() {
  openstack server migrate --live-migration --host "${1:-compute-2}" "${@:2}" "$guest_name" >"$work/said" 2>&1
  tail -2 "$work/said" >&2
}
abort() {
  openstack server migration abort web \
    "$(openstack server migration list --server web -f value -c Id | head -1)" >&2
}
# until nothing goes on
settle() {
  local i task
  for ((i = 0; i < ${1:-60}; i++)); do
    task=$(openstack server show "$guest_name" -f value -c OS-EXT-STS:task_state)
    [[ $task == None || -z $task ]] && break
    sleep 1
  done
  sleep 1
}
# nova_conf HOST SERVICE SECTION LINE …: until the case ends
nova_conf() {
  on "$1" sh -c 'cp -n /etc/nova/nova.conf /run/was-nova.conf; printf "[%s]\n" "$2" >>/etc/nova/nova.conf
    shift 2; printf "%s\n" "$@" >>/etc/nova/nova.conf' - "$2" "$3" "${@:4}"
  restart_nova "$1" "$2"
}
restart_nova() {
  on "$1" systemctl restart "$2"
  for ((i = 0; i < 40; i++)); do
    [[ $2 != nova-compute ]] ||
      [[ $(openstack compute service list --host "$1" --service nova-compute -f value -c State) == up ]] &&
        break
    sleep 0.5
  done
  sleep 4
}
nova_tidy() {
  local host again hooks
  hooks=$(on compute-2 sh -c 'ls /etc/libvirt/hooks/qemu /run/was-qemu.conf 2>/dev/null')
  for host in "${hosts[@]}"; do
    again=$(on "$host" sh -c '[ ! -e /run/was-nova.conf ] || { cat /run/was-nova.conf >/etc/nova/nova.conf
      rm /run/was-nova.conf; echo yes; }')
    [[ -z $again || $host != controller ]] || on "$host" systemctl restart nova-conductor nova-scheduler
    [[ -z $again || $host == controller ]] || restart_nova "$host" nova-compute
  done
  clear_all
  [[ -z $hooks ]] || restart_nova compute-2 nova-compute
  settle 30
}

nova_vnc_address() {
  made 'Nova lets guests listen for VNC on an address of compute-1 on both hosts'
  expect cause "could not listen on $net.11 for VNC"
  lab server --delete web >/dev/null 2>&1; lab listen $net.11 >&2; server; begin; live_migrate; settle
  lab listen any >&2; lab server --delete web >&2
}
nova_same_host() {
  made 'the instance is on that host already'
  expect cause '(finds no host|leaves no host|offers Nova no host)'
  server; begin; live_migrate compute-1
}
nova_unknown_host() {
  made 'a host that Nova does not know'
  expect cause 'Nova knows no host compute-9'
  server; begin; live_migrate compute-9
}
nova_service_down() {
  made 'nova-compute of compute-2 is forced down'
  expect cause '(compute-2 does not report)'
  server; openstack compute service set --down compute-2 nova-compute >&2; begin; live_migrate; settle
  openstack compute service set --up compute-2 nova-compute >&2
}
nova_disabled() {
  made 'nova-compute of compute-2 is disabled, and the scheduler is to choose'
  expect cause '(finds no host|no host that Nova|offers Nova no host)'
  server; openstack compute service set --disable compute-2 nova-compute >&2; sleep 2; begin
  openstack server migrate --live-migration "$guest_name" >&2; settle
  openstack compute service set --enable compute-2 nova-compute >&2
}
nova_no_valid_host() {
  made 'Placement has no room on compute-2'
  expect cause '(finds no host|leaves no host|offers Nova no host)'
  server; nova_conf compute-2 nova-compute DEFAULT 'ram_allocation_ratio = 0.005'; sleep 8
  begin; live_migrate; settle
}
nova_lack_of_memory() {
  made 'compute-2 has no memory left by Nova'"'"'s count, and the host is forced (2.29)'
  expect cause '(MiB left by Nova|no memory)'
  server; nova_conf compute-2 nova-compute DEFAULT 'ram_allocation_ratio = 0.005'; sleep 8
  begin
  on controller sh -c 'token=$(OS_CLOUD=admin openstack token issue -f value -c id)
    curl -s -H "X-Auth-Token: $token" -H "Content-Type: application/json" \
      -H "X-OpenStack-Nova-API-Version: 2.29" \
      -d "{\"os-migrateLive\": {\"host\": \"compute-2\", \"block_migration\": \"auto\"}}" \
      "http://controller:8774/v2.1/servers/$1/action"' - "$id" >&2; settle
}
nova_block_on_shared() {
  made 'block migration is asked for, and the storage is shared'
  expect cause 'disks are on shared storage'
  server; begin; live_migrate compute-2 --block-migration; settle
}
nova_not_shared() {
  made 'the folder of the instances is not the same on compute-2'
  expect cause 'folder is not one'
  server; on compute-2 sh -c 'mount -t tmpfs none /var/lib/nova/instances
    chown nova:nova /var/lib/nova/instances'
  begin; live_migrate compute-2 --shared-migration; settle; on compute-2 umount /var/lib/nova/instances
}
nova_port_binding() {
  made 'Neutron has no agent on compute-2'
  expect cause 'cannot give the port'
  server; on compute-2 systemctl stop neutron-linuxbridge-agent
  openstack network agent delete "$(openstack network agent list --host compute-2 -f value -c ID)" >&2
  begin; live_migrate; settle; on compute-2 systemctl start neutron-linuxbridge-agent; sleep 8
}
nova_migration_port() {
  made 'a firewall on compute-2 rejects the migration ports'
  expect cause '49152'
  server; reject compute-2 49152-49215; begin; live_migrate; settle
}
nova_libvirt_port() {
  made 'a firewall on compute-2 rejects libvirtd'"'"'s port from compute-1'
  expect cause 'cannot connect to libvirtd at compute.2:16509'
  server
  on compute-2 sh -c 'nft add table inet case
    nft "add chain inet case in { type filter hook input priority -10; }"
    nft add rule inet case in ip saddr $1.11 tcp dport 16509 reject with tcp reset' - "$net"
  begin; live_migrate; settle
}
nova_name_unresolved() {
  made 'compute-1 does not know the name of compute-2'
  expect cause 'cannot resolve the name'
  server; on compute-1 sh -c 'cp /etc/hosts /run/hosts; sed "/compute-2/d" /run/hosts >/etc/hosts'
  begin; live_migrate; settle; on compute-1 sh -c 'cat /run/hosts >/etc/hosts'
}
nova_hook_refuses() {
  made 'the hook /etc/libvirt/hooks/qemu of compute-2 refuses incoming guests'
  expect cause 'hook .*said no'
  server; on compute-2 sh -c 'mkdir -p /etc/libvirt/hooks
    printf "#!/bin/sh\n[ \"\$2\" != migrate ] || { echo maintenance >&2; exit 1; }\n" >/etc/libvirt/hooks/qemu
    chmod 755 /etc/libvirt/hooks/qemu; systemctl restart libvirtd'
  restart_nova compute-2 nova-compute; begin; live_migrate; settle
}
nova_stopped() {
  made 'the instance is stopped'
  expect cause 'not in a state for it'
  server; openstack server stop web >&2; sleep 6; begin; live_migrate; settle
    openstack server start web >&2; sleep 4
}
nova_already_migrating() {
  made 'a second live migration is asked for while the first one runs'
  expect cause '(is at work on the instance|not in a state for it)'
  server; begin; nova_conf compute-1 nova-compute libvirt 'live_migration_bandwidth = 2'; begin
  live_migrate; sleep 4; live_migrate
  asked=$(on controller grep -h "os-migrateLive' instance $id" /var/log/nova/nova-api.log | tail -n 1 |
    grep -o 'req-[0-9a-f-]*' | head -n 1)
  abort
  settle
}
nova_aborted() {
  made 'an operator aborts the live migration (openstack server migration abort)'
  expect aborted 'aborted'
  server; nova_conf compute-1 nova-compute libvirt 'live_migration_bandwidth = 2'; begin
  live_migrate; sleep 5
  abort
  settle
}
nova_timeout() {
  made 'Nova'"'"'s own time for a live migration is short'
  expect cause 'own time for it was over'
  server; nova_conf compute-1 nova-compute libvirt 'live_migration_bandwidth = 1' \
    'live_migration_completion_timeout = 3'
  begin; live_migrate; settle 90
}
nova_no_answer() {
  made 'nova-compute of compute-2 stands still (SIGSTOP), and Nova waits for 8 s only'
  expect cause 'did not answer in time'
  server; on controller sh -c 'cp -n /etc/nova/nova.conf /run/was-nova.conf
    sed -i "s/^rpc_response_timeout.*/rpc_response_timeout = 8\nlong_rpc_timeout = 8\ndebug = true/" \
      /etc/nova/nova.conf
    systemctl restart nova-conductor nova-scheduler'
  sleep 8; on compute-2 pkill -STOP nova-compute; begin; live_migrate; settle
  on compute-2 pkill -CONT nova-compute
}
nova_no_memory() {
  made 'libvirtd on compute-2, and what it starts, may have too little address space for the guest'
  expect cause 'does not have enough memory'
  server; on compute-2 sh -c 'prlimit --as=1600000000 --pid "$(pidof libvirtd)"'
  begin; live_migrate; settle; on compute-2 systemctl restart libvirtd
  restart_nova compute-2 nova-compute
}
nova_dest_killed() {
  made 'QEMU of the guest is killed on compute-2 while it moves'
  expect carrier '(QEMU ended|QEMU on compute.. ended|connection to QEMU)'
  server; nova_conf compute-1 nova-compute libvirt 'live_migration_bandwidth = 2'; begin
  live_migrate; sleep 5; on compute-2 pkill -9 -f "$id"; settle
}
nova_older_hypervisor() {
  made 'compute-2 has an older hypervisor, as Nova has it, and the conductor logs at DEBUG'
  expect cause 'older libvirt or QEMU'
  server; on controller sh -c 'cp -n /etc/nova/nova.conf /run/was-nova.conf
    printf "[DEFAULT]\ndebug = true\n" >>/etc/nova/nova.conf; systemctl restart nova-conductor'
  sleep 8
  on controller mysql nova -e \
    "update compute_nodes set hypervisor_version = 6002000 where host = 'compute-2'"
  begin; live_migrate; settle; restart_nova compute-2 nova-compute
}
nova_libvirtd_down() {
  made 'libvirtd of compute-2 does not run'
  expect cause 'offers Nova no host'
  server; on compute-2 systemctl stop libvirtd; begin; live_migrate; settle
    on compute-2 systemctl start libvirtd
  sleep 2; restart_nova compute-2 nova-compute
}
nova_tls() {
  made 'the migration is to be encrypted by QEMU, which has no certificates'
  expect cause 'cannot read its certificate or key'
  server; nova_conf compute-1 nova-compute libvirt 'live_migration_with_native_tls = true'
  begin; live_migrate; settle
}
nova_disk_denied() {
  made 'dynamic_ownership = 0 on compute-2, and the disk is readable for root alone'
  expect cause 'not allowed to open'
  server; conf compute-2 qemu.conf 'dynamic_ownership = 0'
  on compute-1 sh -c 'chown root:root /var/lib/nova/instances/"$1"/disk
    chmod 600 /var/lib/nova/instances/"$1"/disk' - "$id"
  restart_nova compute-2 nova-compute; begin; live_migrate; settle
  on compute-1 sh -c 'chown libvirt-qemu:kvm /var/lib/nova/instances/"$1"/disk
    chmod 644 /var/lib/nova/instances/"$1"/disk' - "$id"
}
nova_compute_dies() {
  made 'nova-compute of compute-1 is killed while the guest moves, and started again'
  expect unknown ''
  server; nova_conf compute-1 nova-compute libvirt 'live_migration_bandwidth = 2'; begin
  live_migrate; sleep 5; on compute-1 pkill -9 nova-compute; sleep 3
  on compute-1 virsh -q domjobabort "$id" >&2
  on compute-1 systemctl restart nova-compute; sleep 10; settle
  openstack server set --state active web >&2
}
nova_anti_affinity() {
  made 'the server group does not let two instances be on one host'
  expect cause '(finds no host|server group|leaves no host)'
  openstack server group create --policy anti-affinity apart >&2
  group=$(openstack server group list -f value -c ID | head -1)
  on controller sh -c 'export OS_CLOUD=admin
    network=$(openstack network list -f value -c ID | head -1)
    for name in apart-1 apart-2; do
      openstack server create --image guest --flavor lab.small --network "$network" \
        --hint group="$1" --wait "$name"
    done' - "$group" >&2
  guest_name=apart-1; id=$(openstack server show apart-1 -f value -c id); subject "$id"
  other=compute-2; [[ $(openstack server show apart-1 -f value -c OS-EXT-SRV-ATTR:host) == compute-1 ]] ||
    other=compute-1
  begin; live_migrate $other; settle
  openstack server delete apart-1 apart-2 >&2; openstack server group delete "$group" >&2; guest_name=web
}
nova_moved() {
  made 'it moves'
  expect moved ''
  server; begin; live_migrate; settle; sleep 3; lab server --delete web >&2
}
