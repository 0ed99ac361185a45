# SPDX-License-Identifier: MIT
# What makes a host of the lab one of its cloud's: the files in which its OpenStack differs from Debian's.
# Sourced by ../lab; write_controller and write_compute run in the place of its write_host, whose `up` (the
# host's own files) and `units` they use.

put() { folder "$up" "$(dirname "$1")"; cat >"$up/$1"; }       # put PATH: its standard input
# UNIT SECTION LINE …
dropin() {
  printf '[%s]\n' "$2" | cat - <(printf '%s\n' "${@:3}") | put "etc/systemd/system/$1.service.d/lab.conf"
}

# How SERVICE logs in to Keystone. Addresses are names, so that kept databases fit every network.
auth() {
  cat <<X
www_authenticate_uri = http://controller:5000
auth_url = http://controller:5000
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = $1
password = lab
region_name = RegionOne
X
}
database() { echo "connection = mysql+pymysql://lab:lab@127.0.0.1/$1"; }
# A busy machine is no dead one: whoever waits for an answer waits long.
messages() {
  cat <<X
[DEFAULT]
transport_url = rabbit://guest:guest@controller:5672/
rpc_response_timeout = 300
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
X
}

write_controller() {
  local service
  hide "$up" var/lib/{mysql,rabbitmq/mnesia,glance/images} \
    var/log/{mysql,rabbitmq,keystone,placement,glance,neutron,nova} \
    etc/{mysql/mariadb.conf.d,openstack}
  write_mariadb
  put etc/rabbitmq/rabbitmq.conf <<<$'loopback_users = none\nhandshake_timeout = 120000'
  # Erlang waits busily otherwise, for processors that others need.
  put etc/rabbitmq/rabbitmq-env.conf \
    <<<'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none"'
  write_keystone; write_placement; write_glance; write_neutron; write_nova controller; write_policies
  write_clouds
  # Debian's uwsgi settings close each connection after its answer and do not say so: who reuses it after a
  # 204 is reset. With more than one thread a request is now and then never answered (eventlet).
  for service in keystone/keystone placement/placement-api neutron/neutron-api; do
    sed -E 's/^(processes|threads) = .*/\1 = 1/; /^add-header/d; $ a add-header = Connection: close' \
      "/etc/$service-uwsgi.ini" |
      put "etc/$service-uwsgi.ini"
  done
  # Nova's API runs by itself instead, so that one request does not hold up the others.
  dropin nova-api Service ExecStart= \
    "ExecStart=/usr/bin/nova-api --config-file=/etc/nova/nova.conf --log-file=/var/log/nova/nova-api.log"
  for service in keystone placement-api glance-api neutron-api neutron-rpc-server nova-api nova-conductor \
    nova-scheduler; do
    put "etc/systemd/system/$service.service.d/order.conf" <<<$'[Unit]\nAfter=mariadb.service'
  done
}

write_mariadb() {  # small, and in no need to outlive this machine's crash
  put etc/mysql/mariadb.conf.d/99-lab.cnf <<X
[mariadbd]
log_error = /var/log/mysql/error.log
bind-address = 127.0.0.1
skip-name-resolve
skip-log-bin
performance_schema = off
max_connections = 300
innodb_buffer_pool_size = 96M
innodb_log_file_size = 16M
innodb_flush_log_at_trx_commit = 0
innodb_doublewrite = 0
innodb_flush_method = nosync
X
  chown mysql: "$up/var/log/mysql"
  dropin mariadb Service ExecStartPost=
}

write_keystone() {
  local key
  put etc/keystone/keystone.conf <<X
[DEFAULT]
log_dir = /var/log/keystone
log_file = keystone.log
[database]
$(database keystone)
[cache]
enabled = true
backend = oslo_cache.dict
[identity]
password_hash_rounds = 4
[token]
provider = fernet
X
  for key in 0 1; do
    put etc/keystone/fernet-keys/$key < <(head -c 32 /dev/urandom | base64 | tr '+/' '-_')
  done
  chown -R keystone: "$up/etc/keystone/fernet-keys"; chmod -R go= "$up/etc/keystone/fernet-keys"
}

write_placement() {
  put etc/placement/placement.conf <<X
[placement_database]
$(database placement)
[keystone_authtoken]
$(auth placement)
X
}

write_glance() {
  put etc/glance/glance-api.conf <<X
[DEFAULT]
workers = 1
enabled_backends = file:file
[database]
$(database glance)
[glance_store]
default_backend = file
[file]
filesystem_store_datadir = /var/lib/glance/images/
[paste_deploy]
flavor = keystone
[keystone_authtoken]
$(auth glance)
X
}

write_neutron() {
  neutron_conf | cat - <(printf '[database]\n%s\n' "$(database neutron)") | put etc/neutron/neutron.conf
  put etc/neutron/plugins/ml2/ml2_conf.ini <<X
[ml2]
type_drivers = vxlan
tenant_network_types = vxlan
mechanism_drivers = linuxbridge
extension_drivers = port_security
[ml2_type_vxlan]
vni_ranges = 1:1000
[securitygroup]
enable_security_group = false
X
}

neutron_conf() {
  cat <<X
[DEFAULT]
core_plugin = ml2
service_plugins =
rpc_workers = 1
rpc_state_report_workers = 0
agent_down_time = 300
$(messages)
[keystone_authtoken]
$(auth neutron)
[nova]
$(auth nova)
[oslo_concurrency]
lock_path = /var/lock/neutron
[experimental]
linuxbridge = true
X
}

# Ports are taps on a bridge for each network, and the bridges meet by VXLAN. The agent's program is in
# Debian's neutron-common; its own package has but a unit. As root it starts its helpers in half the time.
write_bridge_agent() {
  neutron_conf | put etc/neutron/neutron.conf
  put etc/neutron/plugins/ml2/linuxbridge_agent.ini <<X
[vxlan]
local_ip = $(address "$1")
[securitygroup]
enable_security_group = false
firewall_driver = noop
X
  put etc/systemd/system/neutron-linuxbridge-agent.service <<X
[Service]
RuntimeDirectory=neutron lock/neutron
ExecStart=/usr/bin/neutron-linuxbridge-agent --config-file=/etc/neutron/neutron.conf \\
  --config-file=/etc/neutron/plugins/ml2/linuxbridge_agent.ini \\
  --log-file=/var/log/neutron/neutron-linuxbridge-agent.log
Restart=on-failure
X
}

# nova-compute that finds a database's address tries it for a minute before it starts: only the controller has
# them.
write_nova() {
  put etc/nova/nova.conf <<X
[DEFAULT]
enabled_apis = osapi_compute
osapi_compute_workers = 1
my_ip = $(address "$1")
state_path = /var/lib/nova
reserved_host_memory_mb = 512
ram_allocation_ratio = 1.0
# New hosts are found at once, and a guest that does not hear the power button ends soon.
periodic_fuzzy_delay = 0
shutdown_timeout = 2
service_down_time = 120
$(messages)
[keystone_authtoken]
$(auth nova)
[service_user]
send_service_user_token = true
$(auth nova)
[placement]
$(auth nova)
[neutron]
$(auth nova)
[glance]
api_servers = http://controller:9292
[conductor]
workers = 1
[scheduler]
workers = 1
discover_hosts_in_cells_interval = 5
[oslo_concurrency]
lock_path = /var/lock/nova
$([[ $1 != controller ]] ||
  printf '[%s]\n%s\n' api_database "$(database nova_api)" database "$(database nova)")
X
  folder "$up" var/lib/nova
}

# The role `operator` may do what a migration takes, and no more: it is not `admin`, so a lock holds it back.
write_policies() {
  allow nova os_compute_api: os-migrate-server:migrate_live \
    servers:migrations:{index,show,delete,force_complete} os-migrations:index \
    os-services:{list,update} os-hypervisors:{list,list-detail,show,search,servers} \
    os-extended-server-attributes servers:show:host_status \
    os-instance-actions:events{,:details} os-server-diagnostics {servers:index,servers:detail}:get_all_tenants
  allow placement placement: resource_providers:{list,show,inventories:list,usages,allocations:list} \
    allocations:list
  allow neutron "" get_port:binding:{host_id,profile,vif_type,vif_details} get_agent
}
allow() {  # SERVICE PREFIX RULE …, to those who may by Debian's own too
  local rule service=$1 prefix=$2
  for rule in "${@:3}"; do
    printf '"%s%s": "role:admin or role:operator"\n' "$prefix" "$rule"
  done | put "etc/$service/policy.d/10_lab.yaml"
}

write_clouds() {
  local name
  { echo "clouds:"
    for name in admin:demo operator:demo user:other; do cat <<X; done
  ${name%:*}:
    region_name: RegionOne
    identity_api_version: 3
    auth:
      auth_url: http://controller:5000/v3
      username: ${name%:*}
      password: ${name%:*}
      project_name: ${name#*:}
      user_domain_name: Default
      project_domain_name: Default
X
  } | put etc/openstack/clouds.yaml
  chmod 600 "$up/etc/openstack/clouds.yaml"
}

write_compute() {
  hide "$up" var/log/{nova,neutron}
  write_nova "$1"
  compute_conf "$1" | put etc/nova/nova-compute.conf
  write_bridge_agent "$1"
}

# Debian's own says kvm and is read last. libvirtd asks for no password on TCP; on its UNIX socket, polkit
# would bar Debian's user nova.
compute_conf() {
  local listen=$server_listen
  case $listen in any) listen=0.0.0.0 ;; own) listen=$(address "$1") ;; esac
  cat <<X
[DEFAULT]
compute_driver = libvirt.LibvirtDriver
[libvirt]
virt_type = qemu
cpu_mode = none
images_type = raw
connection_uri = qemu+tcp://127.0.0.1/system
live_migration_uri = qemu+tcp://%s/system
[vnc]
enabled = true
server_listen = $listen
server_proxyclient_address = $(address "$1")
[spice]
enabled = false
X
}
