# SPDX-License-Identifier: MIT
# What a guest listens on after a move: its new host's own address, never one that floats; by name, by a
# network, by every device that binds one; and hosts that have IPv6 addresses alone for names.
load helper

setup_file() {
  local host
  for host in $(computes); do
    on "$host" bash -c 'virsh -q net-define /dev/stdin; virsh -q net-start own' <<N
<network><name>own</name><forward mode="bridge"><interface dev="br-lab"/></forward></network>
N
    on "$host" ip addr add "fd92::1${host#compute-}/64" dev br-lab nodad
  done
  on controller ip addr add fd92::10/64 dev host0 nodad
  on compute-2 ip addr add "$net.9/32" dev br-lab # as keepalived's
}
teardown_file() {
  local host
  log_out # a login by an address that is gone would never end there
  for host in $(computes); do await 20 no_logins "$host"; done
  for host in $(computes); do
    on "$host" bash -c 'virsh -q net-destroy own; virsh -q net-undefine own'
    on "$host" ip addr del "fd92::1${host#compute-}/64" dev br-lab
  done
  on controller ip addr del fd92::10/64 dev host0
  on compute-2 ip addr del "$net.9/32" dev br-lab
}
teardown() { forget listening; }

moves() {
  run migrun "$@"
  ends_with_status 0
  verdict_is "Moved: listening runs on ${!#}"
}
listens() { run on "$1" ss -Hatun; }
live() { run on "$1" virsh -rq dumpxml listening; }
defined() { run on "$1" virsh -rq dumpxml --inactive listening; }

@test "by a host's name, which its next host cannot bind" {
  idle listening compute-1 listen=compute-1
  run on compute-1 virsh migrate --live --p2p listening qemu+tcp://compute-2/system
  ends_with_status 1
  says "Cannot assign requested address"
  moves policies/libvirt.lua listening compute-2
  live compute-2
  says "<listen type='address' address='$net.12'/>"
}

@test "every device that binds an address gets the host's own, not one that floats; what connects stays" {
  idle listening compute-1 listen=$net.11 devices="
    <graphics type='spice' autoport='yes'><listen type='network' network='own'/></graphics>
    <rng model='virtio'><backend model='egd' type='tcp'>
      <source mode='bind' host='$net.11' service='7000'/></backend></rng>
    <redirdev bus='usb' type='tcp'><source mode='bind' host='$net.11' service='7001'/></redirdev>
    <smartcard mode='passthrough' type='tcp'><source mode='bind' host='$net.11' service='7002'/></smartcard>
    <interface type='server'><mac address='52:54:00:11:22:33'/><source address='$net.11' port='7003'/>
    </interface>
    <interface type='udp'><mac address='52:54:00:11:22:34'/><source address='$net.10' port='7004'>
      <local address='$net.11' port='7005'/></source></interface>
    <serial type='udp'><source mode='bind' host='$net.11' service='7006'/>
      <source mode='connect' host='$net.10' service='7007'/></serial>
    <channel type='tcp'><source mode='bind' host='$net.11' service='7008'/><protocol type='raw'/>
      <target type='virtio' name='x'/></channel>"
  moves policies/libvirt.lua listening compute-2
  listens compute-2
  for port in 7000 7001 7002 7003 7005 7006 7008; do says "$net.12:$port"; done
  says_not "$net.9:"
  live compute-2
  says "<listen type='address' address='$net.12'/>"
  says "<listen type='network' address='$net.12' network='own'/>"
  says "<source address='$net.10' port='7004'>"
  defined compute-2
  says "<listen type='network' network='own'/>"
  says_not "$net.11"
}

@test "the older way: 0.0.0.0 in libvirt's record, a network's own address left as it is" {
  idle listening compute-1 listen=$net.11 \
    devices="<graphics type='spice' autoport='yes'><listen type='network' network='own'/></graphics>"
  moves -v policies/status-xml.lua listening compute-2
  says "<listen type='address' address='0.0.0.0'"
  says_not "<listen type='network'"
  live compute-2
  says "<listen type='network' address='$net.12' network='own'/>"
  says "listen='0.0.0.0'"
}

@test "hosts with IPv6 addresses for names" {
  on controller bash -c 'cat >/run/six.lua' <<<'return { hosts = { "fd92::11", "fd92::12" } }'
  idle listening compute-1 listen=fd92::11
  # Its journal apart: nobody finds these hosts again to forget it there.
  moves --site /run/six.lua --state /run/six -v policies/libvirt.lua listening fd92::12
  says "peer to peer, to qemu+tcp://[fd92::12]/system"
  listens compute-2
  says "[fd92::12]:59"
}
